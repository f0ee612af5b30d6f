"""Votes on answers to one question."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "preferences",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("messages", JSONB, nullable=False),
        sa.Column("answers", JSONB, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("best", sa.BigInteger),
        sa.Column("is_blind", sa.Boolean, nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("verdict in ('best', 'all_equal', 'all_bad')", name="ck_preferences_verdict"),
        sa.CheckConstraint("(verdict = 'best') = (best is not null)", name="ck_preferences_best"),
    )
    op.create_index("ix_preferences_workspace_id_id", "preferences", ["workspace_id", "id"])
    protect("preferences")


def downgrade() -> None:
    op.drop_table("preferences")
