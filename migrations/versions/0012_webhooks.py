"""Webhooks: endpoints, what they are told, and what they answered."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=True)


def _now(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _of_workspace() -> list[sa.Column[str] | sa.Column[datetime]]:
    return [
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=False),
        _now("created_at"),
    ]


def upgrade() -> None:
    _create_endpoints()
    _create_deliveries()
    _create_attempts()
    for table in ("webhook_endpoints", "webhook_deliveries", "webhook_attempts"):
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])
        protect(table)


def downgrade() -> None:
    for table in ("webhook_attempts", "webhook_deliveries", "webhook_endpoints"):
        op.drop_table(table)


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoints",
        *_of_workspace(),
        _text("name"),
        _text("url"),
        sa.Column("event_types", JSONB(), nullable=False),
        _text("secret_sealed"),
        _text("secret_hint"),
        _text("old_secret_sealed", nullable=True),
        _moment("old_secret_until"),
        _now("updated_at"),
        _text("created_by"),
        _moment("disabled_at"),
        _text("disabled_reason", nullable=True),
        _moment("failing_since"),
        _moment("held_until"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "webhook_deliveries",
        *_of_workspace(),
        sa.Column("endpoint_id", sa.Text(), sa.ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
        _text("event_id"),
        _text("event_type"),
        _text("occurrence"),
        _text("body"),
        sa.Column("is_test", sa.Boolean(), nullable=False, server_default=sa.false()),
        _text("state"),
        sa.Column("num_tries", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("attempt", sa.BigInteger(), nullable=False, server_default="0"),
        _moment("next_attempt_at"),
        _moment("lease_expires_at"),
        _moment("finished_at"),
        sa.UniqueConstraint("endpoint_id", "event_type", "occurrence"),
    )
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["endpoint_id", "next_attempt_at"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index("ix_webhook_deliveries_log", "webhook_deliveries", ["endpoint_id", "id"])
    op.create_index("ix_webhook_deliveries_finished_at", "webhook_deliveries", ["finished_at"])


def _create_attempts() -> None:
    op.create_table(
        "webhook_attempts",
        *_of_workspace(),
        sa.Column("delivery_id", sa.Text(), sa.ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), nullable=False),
        sa.Column("status_code", sa.BigInteger()),
        _text("error", nullable=True),
        _text("answer", nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_webhook_attempts_delivery_id", "webhook_attempts", ["delivery_id", "id"])
