"""Runs and the adapters they make."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_runs()
    _create_adapters()
    op.create_foreign_key("fk_runs_adapter_id", "runs", "adapters", ["adapter_id"], ["id"])


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("suffix", sa.Text),
        sa.Column("base_model", sa.Text, nullable=False),
        sa.Column("dataset_version_id", sa.Text, sa.ForeignKey("dataset_versions.id"), nullable=False),
        sa.Column("validation_version_id", sa.Text, sa.ForeignKey("dataset_versions.id")),
        # the files as the request named them; they may be deleted while the version they became lives on
        sa.Column("training_file_id", sa.Text),
        sa.Column("validation_file_id", sa.Text),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("request", JSONB, nullable=False),
        sa.Column("metadata", JSONB),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("spec", JSONB),
        sa.Column("estimate", JSONB),
        sa.Column("hardware", sa.Text, nullable=False),
        sa.Column("price_micros_per_hour", sa.BigInteger),
        sa.Column("results", JSONB),
        sa.Column("trained_tokens", sa.BigInteger),
        sa.Column("seconds", sa.Double),
        sa.Column("cost_micros", sa.BigInteger),
        sa.Column("base_heldout_loss", sa.Double),
        sa.Column("tuned_heldout_loss", sa.Double),
        sa.Column("adapter_id", sa.Text),
        sa.UniqueConstraint("job_id", name="uq_runs_job_id"),
    )
    op.create_index("ix_runs_workspace_id", "runs", ["workspace_id"])
    op.create_index("ix_runs_dataset_version_id", "runs", ["dataset_version_id"])
    op.create_index("ix_runs_validation_version_id", "runs", ["validation_version_id"])
    protect("runs")


def _create_adapters() -> None:
    op.create_table(
        "adapters",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("run_id", sa.Text, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("model_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        sa.Column("base_model", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("quantization", sa.Text),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("key_prefix", sa.Text, nullable=False),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("spec", JSONB, nullable=False),
        sa.Column("metrics", JSONB, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("model_id", name="uq_adapters_model_id"),
        sa.UniqueConstraint("run_id", name="uq_adapters_run_id"),
    )
    op.create_index("ix_adapters_workspace_id", "adapters", ["workspace_id"])
    protect("adapters")


def downgrade() -> None:
    op.drop_constraint("fk_runs_adapter_id", "runs")
    op.drop_table("adapters")
    op.drop_table("runs")
