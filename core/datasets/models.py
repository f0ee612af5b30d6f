"""Files as they were uploaded, whole or in parts; the datasets made of them, and their immutable versions with rows."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, false, func, literal_column
from sqlalchemy.engine.default import DefaultExecutionContext
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
    erased_at: Mapped[datetime | None]
    """When its bytes were removed because a person was in them; a dataset that was made of it stays."""


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


def _own_id(context: DefaultExecutionContext) -> object:
    return context.get_current_parameters()["id"]  # type: ignore[no-untyped-call]


class DatasetVersion(WorkspaceOwned, Base):
    """A file read with one mapping (a *reading*), or such a version as it was changed since.

    Once ready, nothing about it changes, so a run can always say what it learned; but for rows of a person who is to be
    forgotten (docs/adr/0016). Versions that were made of one reading share its rows: see `Row`.
    """

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
    reading_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id"), index=True, default=_own_id)
    """The version that read the file, whose rows this one shares; itself for one that read it."""
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("dataset_versions.id"))
    """The version that was changed; null for a reading."""
    changes: Mapped[list[Any] | None]
    """What was done to the parent (`core/datasets/changes.py`), each with who did it."""
    num_changed: Mapped[int | None]
    """Rows that differ from the parent's."""
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
    num_visible: Mapped[int | None]
    """All its rows: those that can be learned from, those left out and those excluded."""
    num_dated: Mapped[int | None]
    """Rows that can be learned from and whose time is known."""
    landmarks: Mapped[list[Any] | None] = mapped_column(deferred=True)
    """The number of every thousandth row, from the first on, so that any place of a long list is found at once."""
    artifact: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    """Where its rows lie as files, and their digests (`VersionArtifact`)."""
    num_erased: Mapped[int] = mapped_column(default=0, server_default="0")
    """Rows that it had and that were removed since, because a person was in them."""
    error: Mapped[dict[str, Any] | None]


class KeptFinding(WorkspaceOwned, Base):
    """Personal data or secrets that were found in a version and that somebody decided to keep, and on what ground.

    A version that is made of it and finds the same in the same rows, or in fewer, has a copy with the same time.
    """

    __tablename__ = "kept_findings"

    version_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id"), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)
    ground: Mapped[str]
    kept_by: Mapped[str | None]


class DraftChange(WorkspaceOwned, Base):
    """A change that is not saved yet. Those of one dataset, in their order, are its draft."""

    __tablename__ = "draft_changes"

    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    created_by: Mapped[str | None]
    version_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id"))
    """What was looked at when it was made."""
    change: Mapped[dict[str, Any]]


class ColumnMapping(WorkspaceOwned, Base):
    """A mapping that was chosen for a set of column names, to be proposed when they come again."""

    __tablename__ = "column_mappings"
    __table_args__ = (
        UniqueConstraint("workspace_id", "columns_sha256"),
        Index("ix_column_mappings_workspace_id_id", "workspace_id", "id"),
    )

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    columns: Mapped[list[Any]]
    """The names, in the order of the alphabet."""
    columns_sha256: Mapped[str]
    mapping: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


# what tells whether a version, and a workspace, sees a row: beside an index's own columns, it alone needs to be read
_SEEN_BY = ["workspace_id", "added_in", "removed_in"]


class Row(WorkspaceOwned, Base):
    """One example as it is in the versions N of its reading with `added_in <= N` and `removed_in` null or > N.

    So a version costs what it changes. A row that changes is entered anew with the same number, which is its place in
    the file, and the old one gets its `removed_in`; what a row holds never changes.
    """

    __tablename__ = "rows"
    __table_args__ = (
        CheckConstraint("split in ('train', 'heldout', 'left_out')", name="split"),
        CheckConstraint("excluded_from in ('train', 'heldout', 'left_out')", name="excluded_from"),
        Index("ix_rows_reading_id_split", "reading_id", "split", "number", postgresql_include=_SEEN_BY),
    )

    reading_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id", ondelete="cascade"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    added_in: Mapped[int] = mapped_column(primary_key=True, default=0, server_default="0")
    """The number of a version; 0 of a row as it was read."""
    removed_in: Mapped[int | None]
    # no index: a version belongs to one workspace, and rows are only ever looked for by reading
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    split: Mapped[Split] = mapped_column(EnumText(Split))
    messages: Mapped[list[Any]]
    """A conversation; of a preference, what was said before the answers; none of a text."""
    tools: Mapped[list[Any] | None]
    chosen: Mapped[list[Any] | None]
    rejected: Mapped[list[Any] | None]
    text: Mapped[str | None]
    num_tokens: Mapped[int | None]
    is_edited: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether somebody changed what it holds since the file was read."""
    excluded_from: Mapped[Split | None] = mapped_column(EnumText(Split))
    """The split that it goes back to, if somebody excluded it; its own is `left_out` meanwhile."""
    tags: Mapped[list[Any] | None]
    time: Mapped[float | None]
    """When it was said: seconds since 1970, or whatever else the file puts its rows in order by (`Times`)."""
    problems: Mapped[list[Any] | None]
    """Everything that was found in it; null of a row without."""


Index("ix_rows_reading_id_problems", Row.reading_id, Row.number, postgresql_where=Row.problems.is_not(None))
Index("ix_rows_reading_id_added_in", Row.reading_id, Row.added_in, postgresql_where=Row.added_in > 0)
Index("ix_rows_reading_id_removed_in", Row.reading_id, Row.removed_in, postgresql_where=Row.removed_in.is_not(None))
Index(
    "ix_rows_reading_id_num_tokens",
    Row.reading_id,
    func.coalesce(Row.num_tokens, literal_column("0")),
    Row.number,
    # what is computed is looked for as a column too, before an index alone is read
    postgresql_include=["num_tokens", *_SEEN_BY],
)
Index("ix_rows_reading_id_edited", Row.reading_id, Row.number, postgresql_where=Row.is_edited)
Index("ix_rows_reading_id_excluded", Row.reading_id, Row.number, postgresql_where=Row.excluded_from.is_not(None))
Index("ix_rows_reading_id_tagged", Row.reading_id, Row.number, postgresql_where=Row.tags.is_not(None))
Index("ix_files_expires_at", File.expires_at, postgresql_where=File.deleted_at.is_(None))
Index("ix_uploads_expires_at", Upload.expires_at, postgresql_where=Upload.swept_at.is_(None))
