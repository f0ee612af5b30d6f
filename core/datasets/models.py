"""Files as they were uploaded, whole or in parts; the datasets made of them, and their immutable versions with rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.datasets.types import FileFormat, RowKind, Split, UploadStatus, VersionStatus
from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText


class File(WorkspaceOwned, Base):
    """An uploaded file that passed its first inspection. Its bytes are in the object store and never change."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_workspace_id_id", "workspace_id", "id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    filename: Mapped[str]
    purpose: Mapped[str]
    format: Mapped[FileFormat | None] = mapped_column(EnumText(FileFormat))
    """Null, as is the inspection, for a file that is not to be learned from."""
    num_bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]
    inspection: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class Upload(WorkspaceOwned, Base):
    """A file that arrives in parts. Completed, it is a file; left alone, it expires."""

    __tablename__ = "uploads"
    __table_args__ = (CheckConstraint("status in ('pending', 'completed', 'cancelled', 'expired')", name="status"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    filename: Mapped[str]
    mime_type: Mapped[str]
    purpose: Mapped[str]
    num_bytes: Mapped[int]
    """As announced; the parts that make the file have exactly so many."""
    file_expires_after_s: Mapped[int | None]
    status: Mapped[UploadStatus] = mapped_column(EnumText(UploadStatus))
    expires_at: Mapped[datetime]
    claim: Mapped[str | None]
    """Whoever puts the file together, so that two never both make one; `claimed_at` says since when."""
    claimed_at: Mapped[datetime | None]
    part_ids: Mapped[list[Any] | None]
    """What it was completed with."""
    file_id: Mapped[str | None] = mapped_column(ForeignKey("files.id"))
    swept_at: Mapped[datetime | None]
    """When nothing of its parts was left in the object store."""


class UploadPart(WorkspaceOwned, Base):
    """A part as it lies in the object store. What is sent again is another part."""

    __tablename__ = "upload_parts"

    id: Mapped[str] = mapped_column(primary_key=True)
    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="cascade"), index=True)
    num_bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]


class Dataset(WorkspaceOwned, Base):
    """A name for a series of versions of the same file's examples."""

    __tablename__ = "datasets"
    __table_args__ = (Index("ix_datasets_workspace_id_id", "workspace_id", "id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    file_id: Mapped[str] = mapped_column(ForeignKey("files.id"), index=True)
    name: Mapped[str]
    deleted_at: Mapped[datetime | None]


class DatasetVersion(WorkspaceOwned, Base):
    """A file read with one mapping. Once ready, nothing about it changes, so a run can always say what it learned."""

    __tablename__ = "dataset_versions"
    __table_args__ = (
        UniqueConstraint("dataset_id", "number"),
        CheckConstraint("status in ('validating', 'ready', 'failed')", name="status"),
        CheckConstraint("kind in ('chat', 'preference', 'text')", name="kind"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"))
    number: Mapped[int]
    status: Mapped[VersionStatus] = mapped_column(EnumText(VersionStatus))
    kind: Mapped[RowKind] = mapped_column(EnumText(RowKind), default=RowKind.CHAT, server_default="chat")
    """What all its rows hold."""
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), index=True)
    mapping: Mapped[dict[str, Any] | None]
    """Null for a file whose rows say by themselves what they are."""
    base_model: Mapped[str | None]
    """Whose tokenizer counted the tokens."""
    num_rows: Mapped[int | None]
    """Rows that can be learned from: `num_train + num_heldout`."""
    num_train: Mapped[int | None]
    num_heldout: Mapped[int | None]
    num_problems: Mapped[int | None]
    num_tokens: Mapped[int | None]
    max_row_tokens: Mapped[int | None]
    p99_row_tokens: Mapped[int | None]
    content_sha256: Mapped[str | None]
    health: Mapped[dict[str, Any] | None]
    problems: Mapped[list[Any] | None]
    error: Mapped[dict[str, Any] | None]


class Row(WorkspaceOwned, Base):
    """One example. It has no id of its own: a version's rows are immutable, so its number in the file names it."""

    __tablename__ = "rows"
    __table_args__ = (
        CheckConstraint("split in ('train', 'heldout', 'left_out')", name="split"),
        Index("ix_rows_version_id_split", "version_id", "split", "number"),
    )

    version_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id", ondelete="cascade"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    # no index: a version belongs to one workspace, and rows are only ever looked for by version
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    split: Mapped[Split] = mapped_column(EnumText(Split))
    messages: Mapped[list[Any]]
    """A conversation; of a preference, what was said before the answers; none of a text."""
    tools: Mapped[list[Any] | None]
    chosen: Mapped[list[Any] | None]
    rejected: Mapped[list[Any] | None]
    text: Mapped[str | None]
    num_tokens: Mapped[int | None]
    problems: Mapped[list[Any] | None]
    """Everything that was found in it; null of a row without."""


Index("ix_rows_version_id_problems", Row.version_id, Row.number, postgresql_where=Row.problems.is_not(None))
Index("ix_files_expires_at", File.expires_at, postgresql_where=File.deleted_at.is_(None))
Index("ix_uploads_expires_at", Upload.expires_at, postgresql_where=Upload.swept_at.is_(None))
