"""Searches for a person's rows and their removal; what a version and a file lost by it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("created_by", sa.Text),
        sa.Column("sealed_terms", sa.Text),
        sa.Column("num_terms", sa.BigInteger, nullable=False),
        sa.Column("found", JSONB, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), unique=True),
        sa.Column("confirmed_by", sa.Text),
        sa.Column("confirmed_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_erasures_workspace_id_id", "erasures", ["workspace_id", "id"])
    protect("erasures")
    op.add_column(
        "dataset_versions", sa.Column("num_erased", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    op.add_column("files", sa.Column("erased_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    """What was removed stays removed."""
    op.drop_column("files", "erased_at")
    op.drop_column("dataset_versions", "num_erased")
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_table("erasures")
    op.execute("delete from jobs where kind = 'person.erasure'")
