"""Rows are stored once a reading of a file; a version made by changes shares them. And the changes not yet saved."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_SPLITS = "('train', 'heldout', 'left_out')"
_VERSION_COLUMNS = (
    ("changes", JSONB(none_as_null=True)),
    ("num_changed", sa.BigInteger()),
    ("num_visible", sa.BigInteger()),
    ("landmarks", JSONB(none_as_null=True)),
    ("artifact", JSONB(none_as_null=True)),
)


def upgrade() -> None:
    op.execute("select set_config('app.scope', 'system', true)")
    _extend_versions()
    _share_rows()
    op.create_table(
        "draft_changes",
        sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.Text),
        sa.Column("version_id", sa.Text, sa.ForeignKey("dataset_versions.id"), nullable=False),
        sa.Column("change", JSONB, nullable=False),
    )
    op.create_index("ix_draft_changes_workspace_id", "draft_changes", ["workspace_id"])
    protect("draft_changes")


def downgrade() -> None:
    """Versions made by changes fail: the code before this cannot read them. Those that read a file keep every row."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_table("draft_changes")
    op.execute("delete from rows where added_in > 0")
    op.execute(
        "update dataset_versions set status = 'failed', error = "
        """'{"code": "unsupported_type", "message": "This kind of data cannot be read any more."}' """
        "where reading_id <> id"
    )
    for name in ("added_in", "removed_in", "problems"):
        op.drop_index(f"ix_rows_reading_id_{name}", "rows")
    op.drop_constraint("pk_rows", "rows")
    for name in ("added_in", "removed_in", "is_edited", "excluded_from", "tags"):
        op.drop_column("rows", name)
    op.execute("alter index ix_rows_reading_id_split rename to ix_rows_version_id_split")
    op.alter_column("rows", "reading_id", new_column_name="version_id")
    op.create_primary_key("pk_rows", "rows", ["version_id", "number"])
    op.create_index(
        "ix_rows_version_id_problems",
        "rows",
        ["version_id", "number"],
        postgresql_where=sa.text("problems is not null"),
    )
    for name in ("reading_id", "parent_id", *(name for name, _ in _VERSION_COLUMNS)):
        op.drop_column("dataset_versions", name)


def _extend_versions() -> None:
    op.add_column("dataset_versions", sa.Column("reading_id", sa.Text, sa.ForeignKey("dataset_versions.id")))
    op.execute("update dataset_versions set reading_id = id")
    op.alter_column("dataset_versions", "reading_id", nullable=False)
    op.create_index("ix_dataset_versions_reading_id", "dataset_versions", ["reading_id"])
    op.add_column("dataset_versions", sa.Column("parent_id", sa.Text, sa.ForeignKey("dataset_versions.id")))
    for name, kind in _VERSION_COLUMNS:
        op.add_column("dataset_versions", sa.Column(name, kind))


def _share_rows() -> None:
    """Constant defaults and columns without any: no row is rewritten, however many there are; only indexes are made."""
    op.add_column("rows", sa.Column("added_in", sa.BigInteger, server_default="0", nullable=False))
    op.add_column("rows", sa.Column("removed_in", sa.BigInteger))
    op.add_column("rows", sa.Column("is_edited", sa.Boolean, server_default=sa.false(), nullable=False))
    op.add_column("rows", sa.Column("excluded_from", sa.Text))
    op.add_column("rows", sa.Column("tags", JSONB(none_as_null=True)))
    op.create_check_constraint(op.f("ck_rows_excluded_from"), "rows", f"excluded_from in {_SPLITS}")
    op.alter_column("rows", "version_id", new_column_name="reading_id")
    op.drop_constraint("pk_rows", "rows")
    op.create_primary_key("pk_rows", "rows", ["reading_id", "number", "added_in"])
    op.execute("alter index ix_rows_version_id_split rename to ix_rows_reading_id_split")
    op.drop_index("ix_rows_version_id_problems", "rows")
    for name, columns, where in (
        ("problems", ["reading_id", "number"], "problems is not null"),
        ("added_in", ["reading_id", "added_in"], "added_in > 0"),
        ("removed_in", ["reading_id", "removed_in"], "removed_in is not null"),
    ):
        op.create_index(f"ix_rows_reading_id_{name}", "rows", columns, postgresql_where=sa.text(where))
