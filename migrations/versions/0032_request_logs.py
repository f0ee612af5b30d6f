"""Which workspaces keep every answer, and what else is known of an answer that is kept."""

import sqlalchemy as sa
from alembic import op

from migrations.row_level_security import protect

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_ADDED = (
    sa.Column("origin", sa.Text, nullable=False, server_default="stored"),
    sa.Column("outcome", sa.Text, nullable=False, server_default="succeeded"),
    sa.Column("served_model", sa.Text),
    sa.Column("release", sa.BigInteger),
    sa.Column("api_key_id", sa.Text),
    sa.Column("latency_ms", sa.BigInteger),
    sa.Column("error_code", sa.Text),
    sa.Column("is_masked", sa.Boolean, nullable=False, server_default=sa.false()),
)


def upgrade() -> None:
    op.create_table(
        "request_logs",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.Column("retention_days", sa.BigInteger, nullable=False),
        sa.Column("is_masked", sa.Boolean, nullable=False),
    )
    protect("request_logs")
    for column in _ADDED:
        op.add_column("completions", column.copy())


def downgrade() -> None:
    """What was logged goes: nobody would sweep it in time."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("delete from completions where origin = 'logged'")
    for column in _ADDED:
        op.drop_column("completions", column.name)
    op.drop_table("request_logs")
