"""How each question to a model went: figures, for as long as a page shows them."""

import sqlalchemy as sa
from alembic import op

from migrations.row_level_security import protect

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "served_requests",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("alias", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error_code", sa.Text),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("completion_tokens", sa.BigInteger, nullable=False),
        sa.Column("first_token_ms", sa.BigInteger),
        sa.Column("total_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_served_requests_created_at", "served_requests", ["created_at"])
    op.create_index(
        "ix_served_requests_workspace_id_model_created_at",
        "served_requests",
        ["workspace_id", "model", "created_at"],
    )
    op.create_index(
        "ix_served_requests_workspace_id_alias_created_at",
        "served_requests",
        ["workspace_id", "alias", "created_at"],
        postgresql_where=sa.text("alias is not null"),
    )
    protect("served_requests")


def downgrade() -> None:
    op.drop_table("served_requests")
