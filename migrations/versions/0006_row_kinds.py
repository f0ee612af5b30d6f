"""Rows of three kinds: conversations, preferences, plain text."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_COLUMNS = ("tools", "chosen", "rejected")


def upgrade() -> None:
    # a constant default and columns without any: no row is rewritten, however many there are
    op.add_column("dataset_versions", sa.Column("kind", sa.Text(), server_default="chat", nullable=False))
    op.create_check_constraint(
        op.f("ck_dataset_versions_kind"), "dataset_versions", "kind in ('chat', 'preference', 'text')"
    )
    for name in _COLUMNS:
        op.add_column("rows", sa.Column(name, JSONB(none_as_null=True), nullable=True))
    op.add_column("rows", sa.Column("text", sa.Text(), nullable=True))


def downgrade() -> None:
    """Rows of the new kinds go, and their versions fail: the code before this cannot read them."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.execute("delete from rows where version_id in (select id from dataset_versions where kind <> 'chat')")
    op.execute(
        "update dataset_versions set status = 'failed', error = "
        """'{"code": "unsupported_type", "message": "This kind of data cannot be read any more."}' """
        "where kind <> 'chat'"
    )
    for name in ("text", *_COLUMNS):
        op.drop_column("rows", name)
    op.drop_constraint(op.f("ck_dataset_versions_kind"), "dataset_versions")
    op.drop_column("dataset_versions", "kind")
