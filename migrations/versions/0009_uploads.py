"""Files in parts, and files that expire."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STATUSES = "'pending', 'completed', 'cancelled', 'expired'"


def upgrade() -> None:
    op.add_column("files", sa.Column("expires_at", sa.DateTime(timezone=True)))
    # of a file that is not to be learned from
    op.alter_column("files", "format", nullable=True)
    op.alter_column("files", "inspection", nullable=True)
    op.create_index("ix_files_expires_at", "files", ["expires_at"], postgresql_where=sa.text("deleted_at is null"))
    _create_uploads()
    op.create_table(
        "upload_parts",
        sa.Column("id", sa.Text, primary_key=True),
        *_owned(),
        sa.Column("upload_id", sa.Text, sa.ForeignKey("uploads.id", ondelete="cascade"), nullable=False, index=True),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("object_key", sa.Text, nullable=False),
    )
    for table in ("uploads", "upload_parts"):
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])
        protect(table)


def downgrade() -> None:
    """Files that are not to be learned from, and those that expired, go: nothing knew of them before."""
    op.execute("select set_config('app.scope', 'system', true)")
    op.drop_table("upload_parts")
    op.drop_table("uploads")
    op.execute("update files set deleted_at = now() where expires_at <= now() and deleted_at is null")
    op.execute("delete from files where inspection is null or format is null")
    op.drop_index("ix_files_expires_at", "files")
    op.alter_column("files", "inspection", nullable=False)
    op.alter_column("files", "format", nullable=False)
    op.drop_column("files", "expires_at")


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text, primary_key=True),
        *_owned(),
        sa.Column("created_by", sa.Text),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("mime_type", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("file_expires_after_s", sa.BigInteger),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim", sa.Text),
        sa.Column("claimed_at", sa.DateTime(timezone=True)),
        sa.Column("part_ids", JSONB),
        sa.Column("file_id", sa.Text, sa.ForeignKey("files.id")),
        sa.Column("swept_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(f"status in ({_STATUSES})", name=op.f("ck_uploads_status")),
    )
    op.create_index("ix_uploads_expires_at", "uploads", ["expires_at"], postgresql_where=sa.text("swept_at is null"))


def _owned() -> tuple[sa.Column[str], sa.Column[datetime]]:
    return (
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
