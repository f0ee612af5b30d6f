"""Uploaded files: kept once they pass their first inspection, never changed, deleted softly, gone when they expire."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.datasets.models import File
from core.datasets.purposes import Purpose
from core.datasets.repository import DatasetRepository, ExpiredFileRepository, FileRepository, num_stored_bytes
from core.datasets.types import FileFormat, Inspection
from core.db.session import after_commit
from core.errors import Conflict, Invalid, NotFound, TooLarge
from core.kit.pagination import Page, PageRequest
from core.workspaces import service as workspaces
from core.workspaces.models import Workspace
from core.workspaces.principal import Principal

MAX_FILENAME_CHARS = 255
MIN_EXPIRES_AFTER_S, MAX_EXPIRES_AFTER_S = 3600, 30 * 24 * 3600
# what began before a file expired may still make a dataset of it
_SWEPT_AFTER_S = 120


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file whose bytes are in the object store already, to be entered."""

    id: str
    filename: str
    purpose: Purpose
    num_bytes: int
    sha256: str
    format: FileFormat | None = None
    inspection: Inspection | None = None
    expires_after_s: int | None = None
    object_key: str | None = None
    """Where they are, if it is not the place of files."""


@dataclass(frozen=True, slots=True)
class ExpiredFile:
    id: str
    object_key: str | None
    """Of bytes that nobody needs any more; None while a dataset may still be read from them."""


def check_expires_after(anchor: str | None, seconds: int | None) -> int | None:
    """Seconds after its creation that a file goes; None for never. Raises `Invalid` for another anchor or range."""
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise Invalid(
            "A file can only expire so long after its creation: expires_after.anchor must be 'created_at'.",
            code="invalid_value",
            param="expires_after.anchor",
        )
    if seconds is None or not MIN_EXPIRES_AFTER_S <= seconds <= MAX_EXPIRES_AFTER_S:
        raise Invalid(
            f"expires_after.seconds must be between {MIN_EXPIRES_AFTER_S}, an hour, and {MAX_EXPIRES_AFTER_S}.",
            code="out_of_range",
            param="expires_after.seconds",
        )
    return seconds


@dataclass(frozen=True, slots=True)
class Storage:
    """What a workspace's files take, and what they may; None is no limit."""

    num_bytes: int
    max_bytes: int | None


def storage(session: Session, *, workspace_id: str, max_stored_bytes: int) -> Storage:
    """`max_stored_bytes` is the installation's limit, for workspaces that have none of their own; 0 is no limit."""
    workspace = workspaces.get_workspace(session, workspace_id=workspace_id)
    return storages(session, of=[workspace], max_stored_bytes=max_stored_bytes)[workspace_id]


def storages(session: Session, *, of: Sequence[Workspace], max_stored_bytes: int) -> dict[str, Storage]:
    """The same of several workspaces, by their ids. Needs a system session."""
    stored = num_stored_bytes(session, [workspace.id for workspace in of])
    found = {}
    for workspace in of:
        own = workspace.max_stored_bytes
        limit = max_stored_bytes if own is None else own
        found[workspace.id] = Storage(stored.get(workspace.id, 0), limit or None)
    return found


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


def safe_filename(given: str) -> str:
    """The last part of a path from any system, without what cannot be shown. Only for people: keys never hold it."""
    name = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char for char in name if char.isprintable()).strip()
    return shown[-MAX_FILENAME_CHARS:] or "file"


def object_key(workspace_id: str, file_id: str) -> str:
    return f"workspaces/{workspace_id}/files/{file_id}/source"


def record(session: Session, *, principal: Principal, new: NewFile, max_stored_bytes: int = 0) -> File:
    """Enter a file that somebody uploaded. Raises `TooLarge` if there is no room for it."""
    workspace_id = principal.workspace_id
    FileRepository(session, workspace_id).lock_room()
    check_room(session, workspace_id=workspace_id, num_bytes=new.num_bytes, max_stored_bytes=max_stored_bytes)
    file = enter(session, workspace_id=principal.workspace_id, created_by=principal.user_id, new=new)
    audit.record(
        session,
        principal=principal,
        action="file.uploaded",
        target_id=file.id,
        details={"num_bytes": new.num_bytes, "sha256": new.sha256},
    )
    return file


def enter(session: Session, *, workspace_id: str, created_by: str | None, new: NewFile) -> File:
    """Enter a file that the service itself made, or for `record`."""
    return FileRepository(session, workspace_id).add(
        File(
            id=new.id,
            workspace_id=workspace_id,
            created_by=created_by,
            filename=new.filename,
            purpose=new.purpose,
            format=new.format,
            num_bytes=new.num_bytes,
            sha256=new.sha256,
            object_key=new.object_key or object_key(workspace_id, new.id),
            inspection=None if new.inspection is None else new.inspection.model_dump(mode="json"),
            expires_at=None,
            deleted_at=None,
        ),
        expires_after_s=new.expires_after_s,
    )


def get(session: Session, *, workspace_id: str, file_id: str) -> File:
    """Raises NotFound for an unknown, foreign, deleted or expired file."""
    file = FileRepository(session, workspace_id).living(file_id)
    if file is None:
        raise _not_found(file_id)
    return file


def hold(session: Session, *, workspace_id: str, file_id: str) -> File:
    """As `get`, for who makes a dataset of it: a delete meanwhile waits, and then sees that its bytes are needed."""
    file = FileRepository(session, workspace_id).hold(file_id)
    if file is None:
        raise _not_found(file_id)
    return file


def get_even_deleted(session: Session, *, workspace_id: str, file_id: str) -> File:
    """For datasets, which may still be read from a file that its owner deleted, or that expired."""
    file = FileRepository(session, workspace_id).get(file_id)
    if file is None:
        raise _not_found(file_id)
    return file


def inspection_of(file: File) -> Inspection:
    """What the first look at it found. Raises `Invalid` (`wrong_purpose`) for a file that is not to be learned from."""
    if file.purpose != Purpose.FINE_TUNE or file.inspection is None:
        raise Invalid(
            f"The file {file.id} has the purpose {file.purpose!r}, and only files with the purpose "
            f"{Purpose.FINE_TUNE.value!r} are learned from. Upload it again with that purpose.",
            code="wrong_purpose",
            param="file_id",
        )
    return Inspection.model_validate(file.inspection)


def refuse_erased(file: File) -> None:
    """Raise `Conflict` for a file that went with a person who is forgotten."""
    if file.erased_at is not None:
        raise Conflict(
            "The file of this dataset was removed because a person was in it who is to be forgotten, so it cannot be "
            "read again. Change the examples, or upload a file without that person.",
            code="file_erased",
            param="file_id",
        )


def list_files(session: Session, *, workspace_id: str, page: PageRequest, purpose: str | None = None) -> Page[File]:
    """Without their inspections, which may be large."""
    return FileRepository(session, workspace_id).page(page, purpose)


def delete(session: Session, *, principal: Principal, file_id: str, blobs: BlobStore) -> None:
    """Hide the file. Its bytes go too, unless a dataset was made of it, which may need to read them again."""
    repository = FileRepository(session, principal.workspace_id)
    key = repository.mark_deleted(file_id)
    if key is None:
        raise _not_found(file_id)
    audit.record(session, principal=principal, action="file.deleted", target_id=file_id)
    if not repository.is_used(file_id):
        after_commit(session, partial(blobs.delete, key))


def expired(session: Session, *, limit: int = 1000) -> list[ExpiredFile]:
    """Files of all workspaces whose time is over, to be removed: first their bytes, then `remove_expired`.

    Nobody sees them any more, so that nothing is lost if it ends in between. Needs a system session.
    """
    return [
        ExpiredFile(id=file.id, object_key=None if is_used else file.object_key)
        for file, is_used in ExpiredFileRepository(session).find(older_than_s=_SWEPT_AFTER_S, limit=limit)
    ]


def remove_expired(session: Session, *, file_ids: Sequence[str]) -> None:
    """Needs a system session."""
    ExpiredFileRepository(session).mark_deleted(file_ids)


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
        f"There is no file {file_id} in this workspace. It may have been deleted, or have expired.",
        code="file_not_found",
        param="file_id",
    )


def of_dataset(session: Session, *, workspace_id: str, dataset_id: str) -> File:
    """What the dataset was made of, even if it is deleted since. Raises NotFound for an unknown or foreign dataset."""
    dataset = DatasetRepository(session, workspace_id).get(dataset_id)
    if dataset is None:
        raise NotFound(f"There is no dataset {dataset_id} in this workspace.", code="dataset_not_found")
    return get_even_deleted(session, workspace_id=workspace_id, file_id=dataset.file_id)
