"""Rows by their length, and the few that people did something to, found without reading the others."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0017"
branch_labels = None
depends_on = None

_TOUCHED = (("edited", "is_edited"), ("excluded", "excluded_from is not null"), ("tagged", "tags is not null"))


def upgrade() -> None:
    op.create_index(
        "ix_rows_reading_id_num_tokens", "rows", ["reading_id", sa.text("coalesce(num_tokens, 0)"), "number"]
    )
    for name, where in _TOUCHED:
        op.create_index(f"ix_rows_reading_id_{name}", "rows", ["reading_id", "number"], postgresql_where=sa.text(where))


def downgrade() -> None:
    for name in ("num_tokens", *(name for name, _ in _TOUCHED)):
        op.drop_index(f"ix_rows_reading_id_{name}", "rows")
