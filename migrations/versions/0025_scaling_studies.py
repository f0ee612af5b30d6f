"""Studies of whether a dataset version has enough rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0025"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scaling_studies",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False, unique=True),
        sa.Column("dataset_version_id", sa.Text, sa.ForeignKey("dataset_versions.id"), nullable=False),
        sa.Column("base_model", sa.Text, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("estimate", JSONB, nullable=False),
        sa.Column("hardware", sa.Text, nullable=False),
        sa.Column("price_micros_per_hour", sa.BigInteger, nullable=False),
        sa.Column("num_train", sa.BigInteger, nullable=False),
        sa.Column("measured", JSONB, nullable=False),
        sa.Column("judgement", JSONB),
        sa.Column("seconds", sa.Double),
        sa.Column("cost_micros", sa.BigInteger),
    )
    op.create_index("ix_scaling_studies_workspace_id", "scaling_studies", ["workspace_id"])
    op.create_index("ix_scaling_studies_dataset_version_id", "scaling_studies", ["dataset_version_id"])
    protect("scaling_studies")


def downgrade() -> None:
    """What was charged for them stays in the ledger."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("delete from jobs where kind = 'training.scaling_study'")
    op.drop_table("scaling_studies")
