"""Files, datasets, their versions and rows."""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from migrations.row_level_security import protect

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("files", "datasets", "dataset_versions", "rows")


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.Text, primary_key=True),
        *_owned(),
        sa.Column("created_by", sa.Text),
        sa.Column("filename", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("object_key", sa.Text, nullable=False),
        sa.Column("inspection", JSONB, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Text, primary_key=True),
        *_owned(),
        sa.Column("created_by", sa.Text),
        sa.Column("file_id", sa.Text, sa.ForeignKey("files.id"), nullable=False, index=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
    )
    _create_versions()
    op.create_table(
        "rows",
        sa.Column("version_id", sa.Text, sa.ForeignKey("dataset_versions.id", ondelete="cascade"), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("split", sa.Text, nullable=False),
        sa.Column("messages", JSONB, nullable=False),
        sa.Column("num_tokens", sa.BigInteger),
        sa.Column("problem", JSONB(none_as_null=True)),
        sa.CheckConstraint("split in ('train', 'heldout', 'left_out')", name="ck_rows_split"),
    )
    op.create_index("ix_rows_version_id_split", "rows", ["version_id", "split", "number"])
    op.create_index(
        "ix_rows_version_id_problems",
        "rows",
        ["version_id", "number"],
        postgresql_where=sa.text("problem is not null"),
    )
    for table in TABLES[:-1]:
        op.create_index(f"ix_{table}_workspace_id", table, ["workspace_id"])
    for table in TABLES:
        protect(table)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


def _owned() -> tuple[sa.Column[str], sa.Column[datetime]]:
    return (
        sa.Column("workspace_id", sa.Text, sa.ForeignKey("workspaces.id"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def _create_versions() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("id", sa.Text, primary_key=True),
        *_owned(),
        sa.Column("created_by", sa.Text),
        sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("jobs.id"), nullable=False, index=True),
        sa.Column("mapping", JSONB),
        sa.Column("base_model", sa.Text),
        sa.Column("num_rows", sa.BigInteger),
        sa.Column("num_train", sa.BigInteger),
        sa.Column("num_heldout", sa.BigInteger),
        sa.Column("num_problems", sa.BigInteger),
        sa.Column("num_tokens", sa.BigInteger),
        sa.Column("max_row_tokens", sa.BigInteger),
        sa.Column("p99_row_tokens", sa.BigInteger),
        sa.Column("content_sha256", sa.Text),
        sa.Column("health", JSONB),
        sa.Column("problems", JSONB),
        sa.Column("error", JSONB),
        sa.UniqueConstraint("dataset_id", "number"),
        sa.CheckConstraint("status in ('validating', 'ready', 'failed')", name="ck_dataset_versions_status"),
    )
