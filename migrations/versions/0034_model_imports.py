"""Models made elsewhere: an adapter need not be of a run, and says then who brought it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("adapters", sa.Column("origin", sa.Text, nullable=False, server_default="trained"))
    op.alter_column("adapters", "origin", server_default=None)
    op.add_column("adapters", sa.Column("lineage", JSONB))
    op.alter_column("adapters", "run_id", nullable=True)
    op.create_check_constraint(op.f("ck_adapters_origin"), "adapters", "(origin = 'trained') = (run_id is not null)")
    op.create_check_constraint(op.f("ck_adapters_lineage"), "adapters", "(origin = 'imported') = (lineage is not null)")
    op.create_table(
        "model_imports",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False, unique=True),
        sa.Column("adapter_id", sa.Text, sa.ForeignKey("adapters.id"), unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("base_model", sa.Text, nullable=False),
        sa.Column("is_base_confirmed", sa.Boolean, nullable=False),
        sa.Column("quantization", sa.Text),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("swept_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_model_imports_workspace_id_id", "model_imports", ["workspace_id", "id"])
    protect("model_imports")


def downgrade() -> None:
    """Models that were imported go: nothing before this knows of an adapter without a run."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_table("model_imports")
    op.execute("delete from jobs where kind = 'model.import'")
    for table in ("model_exports", "checkpoint_permissions"):
        op.execute(f"delete from {table} where adapter_id in (select id from adapters where origin = 'imported')")  # noqa: S608 - names of ours
    op.execute("delete from adapters where origin = 'imported'")
    op.drop_constraint("ck_adapters_lineage", "adapters")
    op.drop_constraint("ck_adapters_origin", "adapters")
    op.alter_column("adapters", "run_id", nullable=False)
    op.drop_column("adapters", "lineage")
    op.drop_column("adapters", "origin")
