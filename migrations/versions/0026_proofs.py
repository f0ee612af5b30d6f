"""Whether a model was proved to answer where it is served as where it was trained."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0026"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # what is there was made before its trainer wrote down what to compare with
    op.add_column("adapters", sa.Column("proof_status", sa.Text, nullable=False, server_default="none"))
    op.alter_column("adapters", "proof_status", server_default=None)
    op.add_column("adapters", sa.Column("proof", JSONB))


def downgrade() -> None:
    op.drop_column("adapters", "proof")
    op.drop_column("adapters", "proof_status")
