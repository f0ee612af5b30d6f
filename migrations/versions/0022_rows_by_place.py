"""Any place of a long list of rows, by split or by length, from an index alone."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0026"
branch_labels = None
depends_on = None

_TOKENS = sa.text("coalesce(num_tokens, 0)")
_SEEN_BY = ["workspace_id", "added_in", "removed_in"]


def upgrade() -> None:
    for name in ("split", "num_tokens"):
        op.drop_index(f"ix_rows_reading_id_{name}", "rows")
    op.create_index("ix_rows_reading_id_split", "rows", ["reading_id", "split", "number"], postgresql_include=_SEEN_BY)
    op.create_index(
        "ix_rows_reading_id_num_tokens",
        "rows",
        ["reading_id", _TOKENS, "number"],
        postgresql_include=["num_tokens", *_SEEN_BY],
    )


def downgrade() -> None:
    for name in ("split", "num_tokens"):
        op.drop_index(f"ix_rows_reading_id_{name}", "rows")
    op.create_index("ix_rows_reading_id_split", "rows", ["reading_id", "split", "number"])
    op.create_index("ix_rows_reading_id_num_tokens", "rows", ["reading_id", _TOKENS, "number"])
