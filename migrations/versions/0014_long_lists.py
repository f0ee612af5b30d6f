"""Lists of a million things."""

import sqlalchemy as sa
from alembic import op

from migrations.row_level_security import protect

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = ("jobs", "runs", "files", "datasets", "ledger_entries")


def upgrade() -> None:
    for table in _TABLES:
        op.create_index(f"ix_{table}_workspace_id_id", table, ["workspace_id", "id"])
        op.drop_index(f"ix_{table}_workspace_id", table)
    op.create_index("ix_jobs_state_id", "jobs", ["state", "id"])
    op.create_index("ix_jobs_kind_id", "jobs", ["kind", "id"])
    _add_run_metadata()


def downgrade() -> None:
    op.drop_index("ix_runs_without_metadata", "runs")
    op.drop_table("run_metadata")
    op.drop_index("ix_jobs_kind_id", "jobs")
    op.drop_index("ix_jobs_state_id", "jobs")
    for table in _TABLES:
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])
        op.drop_index(f"ix_{table}_workspace_id_id", table)


def _add_run_metadata() -> None:
    op.create_table(
        "run_metadata",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, index=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
    )
    protect("run_metadata")
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("update runs set metadata = null where metadata = '{}'")
    op.execute(
        "insert into run_metadata (workspace_id, key, value, run_id, created_at) "
        "select workspace_id, pair.key, pair.value, runs.id, runs.created_at "
        "from runs cross join lateral jsonb_each_text(runs.metadata) as pair"
    )
    op.create_index("ix_runs_without_metadata", "runs", ["workspace_id", "id"], postgresql_where="metadata is null")
