"""Checkpoints that can be talked to, who else may, and the file of a run's results."""

import sqlalchemy as sa
from alembic import op

from migrations.row_level_security import protect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("adapters", sa.Column("checkpoint_step", sa.BigInteger))
    op.drop_constraint("uq_adapters_run_id", "adapters")
    op.create_unique_constraint("uq_adapters_run_id_checkpoint_step", "adapters", ["run_id", "checkpoint_step"])
    op.create_index(
        "uq_adapters_run_id", "adapters", ["run_id"], unique=True, postgresql_where=sa.text("checkpoint_step is null")
    )
    op.add_column("runs", sa.Column("result_file_id", sa.Text, sa.ForeignKey("files.id")))
    op.create_table(
        "checkpoint_permissions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False, index=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("adapter_id", sa.Text, sa.ForeignKey("adapters.id"), nullable=False),
        sa.Column("project_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False, index=True),
        sa.UniqueConstraint("adapter_id", "project_id", name="uq_checkpoint_permissions_adapter_id_project_id"),
    )
    protect("checkpoint_permissions")
    _share_by_permission()


def downgrade() -> None:
    """Nobody uses another's models any more, and checkpoints are no models."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("drop policy shared_with_workspace on adapters")
    op.drop_table("checkpoint_permissions")
    op.drop_column("runs", "result_file_id")
    op.execute("delete from adapters where checkpoint_step is not null")
    op.drop_index("uq_adapters_run_id", "adapters")
    op.drop_constraint("uq_adapters_run_id_checkpoint_step", "adapters")
    op.create_unique_constraint("uq_adapters_run_id", "adapters", ["run_id"])
    op.drop_column("adapters", "checkpoint_step")


def _share_by_permission() -> None:
    """A permission is what opens a row, so that with it goes the sight of the row. For reading only."""
    op.execute(
        "create policy granted_to_workspace on checkpoint_permissions for select "
        "using (project_id = current_setting('app.workspace_id', true))"
    )
    op.execute(
        "create policy shared_with_workspace on adapters for select "
        "using (exists (select from checkpoint_permissions granted where granted.adapter_id = adapters.id "
        "and granted.project_id = current_setting('app.workspace_id', true)))"
    )
