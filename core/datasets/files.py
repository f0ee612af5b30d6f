"""Uploaded files: kept once they pass their first inspection, never changed, deleted softly."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.datasets.models import File
from core.datasets.repository import FileRepository
from core.datasets.types import FileFormat, Inspection
from core.db.session import after_commit
from core.errors import Invalid, NotFound, TooLarge
from core.kit.pagination import Page, PageRequest
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal

PURPOSE = "fine-tune"
MAX_FILENAME_CHARS = 255


def check_purpose(purpose: str) -> None:
    if purpose != PURPOSE:
        raise Invalid(
            f"Files are for one purpose here: {PURPOSE!r}, not {purpose[:40]!r}.",
            code="unsupported_purpose",
            param="purpose",
        )


def safe_filename(given: str) -> str:
    """The last part of a path from any system, without what cannot be shown. Only for people: keys never hold it."""
    name = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char for char in name if char.isprintable()).strip()
    return shown[-MAX_FILENAME_CHARS:] or "file"


def object_key(workspace_id: str, file_id: str) -> str:
    return f"workspaces/{workspace_id}/files/{file_id}/source"


@dataclass(frozen=True, slots=True)
class Storage:
    """What a workspace's files take, and what they may; None is no limit."""

    num_bytes: int
    max_bytes: int | None


def storage(session: Session, *, workspace_id: str, max_stored_bytes: int) -> Storage:
    """`max_stored_bytes` is the installation's limit, for workspaces that have none of their own; 0 is no limit."""
    own = workspaces.get_workspace(session, workspace_id=workspace_id).max_stored_bytes
    limit = max_stored_bytes if own is None else own
    return Storage(FileRepository(session, workspace_id).num_stored_bytes(), limit or None)


def check_room(session: Session, *, workspace_id: str, num_bytes: int, max_stored_bytes: int) -> None:
    """Raises `TooLarge` if so many bytes more are more than the workspace may keep."""
    found = storage(session, workspace_id=workspace_id, max_stored_bytes=max_stored_bytes)
    if found.max_bytes is not None and found.num_bytes + num_bytes > found.max_bytes:
        raise TooLarge(
            f"This workspace's files take {found.num_bytes:,} of the {found.max_bytes:,} bytes that they may, so "
            f"{num_bytes:,} more do not fit. Delete files that no dataset needs, or ask an admin of the installation "
            "for more room.",
            code="storage_quota_exceeded",
            param="file",
            details={"stored_bytes": found.num_bytes, "max_stored_bytes": found.max_bytes},
        )


def record(
    session: Session,
    *,
    principal: Principal,
    file_id: str,
    filename: str,
    file_format: FileFormat,
    num_bytes: int,
    sha256: str,
    inspection: Inspection,
    max_stored_bytes: int = 0,
) -> File:
    """Enter a file whose bytes are in the object store already. Raises `TooLarge` if there is no room for it."""
    FileRepository(session, principal.workspace_id).lock_room()
    check_room(session, workspace_id=principal.workspace_id, num_bytes=num_bytes, max_stored_bytes=max_stored_bytes)
    file = FileRepository(session, principal.workspace_id).add(
        File(
            id=file_id,
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            filename=filename,
            purpose=PURPOSE,
            format=file_format,
            num_bytes=num_bytes,
            sha256=sha256,
            object_key=object_key(principal.workspace_id, file_id),
            inspection=inspection.model_dump(mode="json"),
            deleted_at=None,
        )
    )
    audit.record(
        session,
        principal=principal,
        action="file.uploaded",
        target_id=file.id,
        details={"num_bytes": num_bytes, "sha256": sha256},
    )
    return file


def get(session: Session, *, workspace_id: str, file_id: str) -> File:
    """Raises NotFound for an unknown, foreign or deleted file."""
    file = get_even_deleted(session, workspace_id=workspace_id, file_id=file_id)
    if file.deleted_at is not None:
        raise _not_found(file_id)
    return file


def hold(session: Session, *, workspace_id: str, file_id: str) -> File:
    """As `get`, for who makes a dataset of it: a delete meanwhile waits, and then sees that its bytes are needed."""
    file = FileRepository(session, workspace_id).hold(file_id)
    if file is None or file.deleted_at is not None:
        raise _not_found(file_id)
    return file


def get_even_deleted(session: Session, *, workspace_id: str, file_id: str) -> File:
    """For datasets, which may still be read from a file that its owner deleted."""
    file = FileRepository(session, workspace_id).get(file_id)
    if file is None:
        raise _not_found(file_id)
    return file


def list_files(session: Session, *, workspace_id: str, page: PageRequest, purpose: str | None = None) -> Page[File]:
    return FileRepository(session, workspace_id).page(page, purpose)


def delete(session: Session, *, principal: Principal, file_id: str, blobs: BlobStore) -> None:
    """Hide the file. Its bytes go too, unless a dataset was made of it, which may need to read them again."""
    repository = FileRepository(session, principal.workspace_id)
    if not repository.mark_deleted(file_id):
        raise _not_found(file_id)
    audit.record(session, principal=principal, action="file.deleted", target_id=file_id)
    if not repository.is_used(file_id):
        after_commit(session, partial(blobs.delete, object_key(principal.workspace_id, file_id)))


def content(file: File, *, blobs: BlobStore) -> Iterator[bytes]:
    """The bytes as they were uploaded. The store is asked at once, so that a failure is not half an answer."""
    chunks = blobs.read_chunks(file.object_key)
    first = next(chunks, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from chunks

    return rest()


def _not_found(file_id: str) -> NotFound:
    return NotFound(
        f"There is no file {file_id} in this workspace. It may have been deleted.",
        code="file_not_found",
        param="file_id",
    )
