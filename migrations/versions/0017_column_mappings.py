"""Mappings that are remembered, and mappings that say only what they say."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SYSTEM = "select set_config('app.scope', 'system', true)"


def upgrade() -> None:
    op.create_table(
        "column_mappings",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("columns", JSONB, nullable=False),
        sa.Column("columns_sha256", sa.Text, nullable=False),
        sa.Column("mapping", JSONB, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("workspace_id", "columns_sha256"),
    )
    op.create_index("ix_column_mappings_workspace_id_id", "column_mappings", ["workspace_id", "id"])
    protect("column_mappings")
    # two that mean the same are found by being equal
    op.execute(_SYSTEM)
    op.execute("update dataset_versions set mapping = jsonb_strip_nulls(mapping) where mapping is not null")


def downgrade() -> None:
    """Versions that were read in ways which nobody knew before can still be read; their mappings are not."""
    op.execute(_SYSTEM)
    op.execute("update dataset_versions set mapping = null where not mapping ?& array['question', 'answer']")
    op.execute(
        "update dataset_versions set mapping = jsonb_build_object("
        "'question', mapping->'question', 'answer', mapping->'answer', 'system', mapping->'system') "
        "where mapping is not null"
    )
    op.drop_table("column_mappings")
