"""When what a row holds was said, and how many rows of a version have such a time."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rows", sa.Column("time", sa.Double))
    op.add_column("dataset_versions", sa.Column("num_dated", sa.BigInteger))


def downgrade() -> None:
    op.drop_column("dataset_versions", "num_dated")
    op.drop_column("rows", "time")
