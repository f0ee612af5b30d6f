"""Answers that are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "completions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("messages", JSONB, nullable=False),
        sa.Column("parameters", JSONB, nullable=False),
        sa.Column("answer", JSONB, nullable=False),
        sa.Column("metadata", JSONB, nullable=False),
    )
    op.create_index("ix_completions_workspace_id_id", "completions", ["workspace_id", "id"])
    op.create_index("ix_completions_created_at", "completions", ["created_at"])
    protect("completions")


def downgrade() -> None:
    op.drop_table("completions")
