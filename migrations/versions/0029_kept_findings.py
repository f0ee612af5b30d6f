"""What was found in a version and is kept by somebody's decision, with the ground."""

import sqlalchemy as sa
from alembic import op

from migrations.row_level_security import protect

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_findings",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False, index=True),
        sa.Column("version_id", sa.Text, sa.ForeignKey("dataset_versions.id"), primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("ground", sa.Text, nullable=False),
        sa.Column("kept_by", sa.Text),
    )
    protect("kept_findings")


def downgrade() -> None:
    op.drop_table("kept_findings")
