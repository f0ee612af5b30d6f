"""People, workspaces, keys, audit, idempotency."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.append_only import create_guard, drop_guard, forbid_changes
from migrations.row_level_security import protect

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _created() -> sa.Column[object]:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _workspace() -> sa.Column[str]:
    return sa.Column("workspace_id", sa.Text(), sa.ForeignKey("workspaces.id"), nullable=False)


def upgrade() -> None:
    create_guard()
    _create_people()
    _create_access()
    _create_records()


def _create_people() -> None:
    op.create_table(
        "workspaces",
        _text("id"),
        _text("name"),
        _text("slug"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "users",
        _text("id"),
        _text("email"),
        _text("name"),
        _text("password_hash"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
    )
    op.create_table(
        "sessions",
        _text("id"),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
        _text("token_sha256"),
        _moment("last_seen_at"),
        _moment("expires_at"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_sha256"),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])
    op.create_table(
        "sign_in_attempts",
        _text("id"),
        _text("email"),
        _created(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sign_in_attempts_email_created_at", "sign_in_attempts", ["email", "created_at"])


def _create_access() -> None:
    is_role = "role in ('viewer', 'member', 'admin')"
    op.create_table(
        "memberships",
        _workspace(),
        sa.Column("user_id", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        _text("role"),
        _created(),
        sa.PrimaryKeyConstraint("workspace_id", "user_id"),
        sa.CheckConstraint(is_role, name="role"),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"])
    protect("memberships")
    op.create_table(
        "api_keys",
        _text("id"),
        _workspace(),
        _text("name"),
        _text("prefix"),
        _text("last4"),
        _text("token_sha256"),
        _text("role"),
        sa.Column("created_by", sa.Text(), sa.ForeignKey("users.id"), nullable=False),
        _moment("last_used_at", nullable=True),
        _moment("revoked_at", nullable=True),
        _created(),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_sha256"),
        sa.CheckConstraint(is_role, name="role"),
    )
    op.create_index(op.f("ix_api_keys_workspace_id"), "api_keys", ["workspace_id"])
    protect("api_keys")


def _create_records() -> None:
    op.create_table(
        "audit_events",
        _text("id"),
        _workspace(),
        _text("actor_user_id"),
        _text("actor_api_key_id", nullable=True),
        _text("actor_name"),
        _text("action"),
        _text("target_id"),
        sa.Column("details", JSONB(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_audit_events_workspace_id"), "audit_events", ["workspace_id"])
    protect("audit_events")
    forbid_changes("audit_events")
    op.create_table(
        "idempotency_keys",
        _workspace(),
        _text("route"),
        _text("key"),
        _text("request_sha256"),
        sa.Column("answer", JSONB(), nullable=False),
        _created(),
        sa.PrimaryKeyConstraint("workspace_id", "route", "key"),
    )
    op.create_index(op.f("ix_idempotency_keys_created_at"), "idempotency_keys", ["created_at"])
    protect("idempotency_keys")


def downgrade() -> None:
    for table in (
        "idempotency_keys",
        "audit_events",
        "api_keys",
        "memberships",
        "sign_in_attempts",
        "sessions",
        "users",
        "workspaces",
    ):
        op.drop_table(table)
    drop_guard()
