"""Tuned models as files to take away, and the key that their manifests are signed with."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_exports",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False, unique=True),
        sa.Column("adapter_id", sa.Text, sa.ForeignKey("adapters.id"), nullable=False, index=True),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("files", JSONB, nullable=False),
        sa.Column("manifest_sha256", sa.Text),
        sa.Column("report", JSONB),
        sa.Column("seconds", sa.Double),
        sa.Column("cost_micros", sa.BigInteger),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("swept_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_model_exports_workspace_id_id", "model_exports", ["workspace_id", "id"])
    protect("model_exports")
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("public_key", sa.Text, nullable=False, unique=True),
        sa.Column("sealed_private_key", sa.Text, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False, unique=True),
    )


def downgrade() -> None:
    """What was charged for them stays in the ledger."""
    op.drop_table("signing_keys")
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_table("model_exports")
    op.execute("delete from jobs where kind = 'model.export'")
