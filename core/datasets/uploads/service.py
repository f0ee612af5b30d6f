"""Files that arrive in parts: begin, receive parts, cancel, sweep. `assembly` makes the file of them.

A part is an object of its own until then. Parts may arrive in any order and more than once: only those that are named
at the end count, in the order in which they are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.config import Settings
from core.datasets import files
from core.datasets.formats.registry import refuse_unread
from core.datasets.incoming import forget
from core.datasets.models import File, Upload, UploadPart
from core.datasets.purposes import Purpose, check_purpose
from core.datasets.spool import Spool
from core.datasets.types import UploadStatus
from core.datasets.uploads.repository import LeftoverRepository, UploadRepository
from core.db.session import Database, after_commit, workspace_scope
from core.errors import Conflict, Invalid, NotFound
from core.kit.ids import new_id
from core.workspaces.principal import Principal

MAX_PART_BYTES = 64 * 1024 * 1024
MAX_PARTS = 10_000
CLAIM_S = 15 * 60
"""Putting a file together takes minutes; who has not ended by then has died."""
_MAX_MIME_TYPE_CHARS = 255
_SWEPT_AFTER_S = 600


@dataclass(frozen=True, slots=True)
class UploadDetails:
    """An upload, the parts that arrived in the order of their arrival, and the file once there is one."""

    upload: Upload
    parts: Sequence[UploadPart]
    file: File | None


@dataclass(frozen=True, slots=True)
class Leftover:
    upload_id: str
    key_prefix: str


def create(
    session: Session,
    *,
    principal: Principal,
    settings: Settings,
    filename: str,
    mime_type: str,
    purpose: str,
    num_bytes: int,
    expires_after_s: int | None,
) -> UploadDetails:
    """Raises `Invalid` for what could not become a file anyway, and `Conflict` beyond the workspace's quota."""
    name, wanted = files.safe_filename(filename), check_purpose(purpose)
    if wanted is Purpose.FINE_TUNE:
        refuse_unread(name)
    if not 1 <= num_bytes <= settings.max_upload_in_parts_bytes:
        raise Invalid(
            f"bytes must be between 1 and {settings.max_upload_in_parts_bytes:,}, the most that is accepted here; it "
            f"is {num_bytes:,}.",
            code="out_of_range",
            param="bytes",
        )
    if not 1 <= len(mime_type) <= _MAX_MIME_TYPE_CHARS or not mime_type.isprintable():
        raise Invalid("mime_type must be one such as text/jsonl.", code="invalid_value", param="mime_type")
    uploads = UploadRepository(session, principal.workspace_id)
    _check_quota(session, uploads, principal.workspace_id, num_bytes, settings)
    upload = uploads.add(
        Upload(
            id=new_id("upload_"),
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            filename=name,
            mime_type=mime_type,
            purpose=wanted,
            num_bytes=num_bytes,
            file_expires_after_s=expires_after_s,
            status=UploadStatus.PENDING,
        ),
        expires_after_s=settings.upload_expires_s,
    )
    details = {"num_bytes": num_bytes}
    audit.record(session, principal=principal, action="upload.created", target_id=upload.id, details=details)
    return UploadDetails(upload, [], None)


def get(session: Session, *, workspace_id: str, upload_id: str) -> UploadDetails:
    """Raises `NotFound`."""
    uploads = UploadRepository(session, workspace_id)
    uploads.expire(upload_id, claim_s=CLAIM_S)
    upload = uploads.get(upload_id)
    if upload is None:
        raise _not_found(upload_id)
    return details_of(session, upload)


def details_of(session: Session, upload: Upload) -> UploadDetails:
    parts = UploadRepository(session, upload.workspace_id).parts(upload.id)
    file = None
    if upload.file_id is not None:
        file = files.get_even_deleted(session, workspace_id=upload.workspace_id, file_id=upload.file_id)
    return UploadDetails(upload, parts, file)


def lock_open(session: Session, *, workspace_id: str, upload_id: str) -> Upload:
    """The upload, if it still takes parts; nobody else changes it until the transaction ends.

    Raises `NotFound`, or `Conflict` for one that is over (`upload_completed`, `upload_cancelled`, `upload_expired`) or
    whose file is being put together this moment (`request_in_flight`).
    """
    uploads = UploadRepository(session, workspace_id)
    uploads.expire(upload_id, claim_s=CLAIM_S)
    upload = uploads.lock(upload_id)
    if upload is None:
        raise _not_found(upload_id)
    if upload.status is not UploadStatus.PENDING:
        raise _over(upload)
    if uploads.is_claimed(upload_id, claim_s=CLAIM_S):
        raise in_flight()
    return upload


def in_flight() -> Conflict:
    return Conflict(
        "The parts of this upload are being put together right now. Ask again in a few seconds.",
        code="request_in_flight",
        details={"retry_after_s": 2},
    )


class IncomingPart:
    """A part on its way in: `feed` until the bytes end, then `finish`; `close` in any case."""

    def __init__(self, *, directory: Path) -> None:
        self._spool = Spool(
            directory=directory,
            max_bytes=MAX_PART_BYTES,
            param="data",
            too_large=f"A part may have {MAX_PART_BYTES:,} bytes. Send more and smaller ones.",
        )

    def close(self) -> None:
        self._spool.close()

    def feed(self, chunk: bytes) -> bool:
        """Raises `TooLarge` at the first byte beyond the limit, and `InsufficientStorage` when the disk is full."""
        self._spool.write(chunk)
        return True

    def finish(
        self, *, principal: Principal, upload_id: str, database: Database, blobs: BlobStore, expires_after_s: int
    ) -> UploadPart:
        """Store and enter it, and keep the upload open for `expires_after_s` from now on.

        Raises as `lock_open`, and `Conflict` for more than such an upload can need.
        """
        if self._spool.num_bytes == 0:
            raise Invalid("The part is empty.", code="part_empty", param="data")
        part_id = new_id("part_")
        key = f"{_key_prefix(principal.workspace_id, upload_id)}{part_id}"
        try:
            blobs.put_stream(key, self._spool.rewound())
            with database.session(workspace_scope(principal.workspace_id)) as session:
                return _enter_part(
                    session,
                    UploadPart(
                        id=part_id,
                        workspace_id=principal.workspace_id,
                        upload_id=upload_id,
                        num_bytes=self._spool.num_bytes,
                        sha256=self._spool.sha256,
                        object_key=key,
                    ),
                    expires_after_s=expires_after_s,
                )
        except BaseException:
            # one whose entry was only seemingly lost is not named by anybody: its sender has no id of it
            forget(blobs, key)
            raise


def cancel(session: Session, *, principal: Principal, upload_id: str, blobs: BlobStore) -> UploadDetails:
    """Give an upload up; its parts go. Asking again changes nothing; raises as `lock_open` for one that is over."""
    uploads = UploadRepository(session, principal.workspace_id)
    found = uploads.get(upload_id)
    if found is not None and found.status is UploadStatus.CANCELLED:
        return details_of(session, found)
    upload = lock_open(session, workspace_id=principal.workspace_id, upload_id=upload_id)
    uploads.cancel(upload_id)
    session.refresh(upload)
    audit.record(session, principal=principal, action="upload.cancelled", target_id=upload_id)
    remove_parts_after_commit(session, upload, blobs)
    return details_of(session, upload)


def remove_parts_after_commit(session: Session, upload: Upload, blobs: BlobStore) -> None:
    """Their objects are needed no more. What is not removed now, a sweep removes."""
    prefix = _key_prefix(upload.workspace_id, upload.id)

    def remove() -> None:
        blobs.delete_prefix(prefix)

    after_commit(session, remove)


def leftovers(session: Session, *, limit: int = 500) -> list[Leftover]:
    """Uploads of all workspaces that are over, to be swept: first their objects, then `mark_swept`.

    Needs a system session.
    """
    repository = LeftoverRepository(session)
    repository.expire(claim_s=CLAIM_S)
    found = repository.unswept(older_than_s=_SWEPT_AFTER_S, limit=limit)
    return [Leftover(upload.id, _key_prefix(upload.workspace_id, upload.id)) for upload in found]


def mark_swept(session: Session, *, upload_ids: Sequence[str]) -> None:
    """Needs a system session."""
    LeftoverRepository(session).mark_swept(upload_ids)


def _enter_part(session: Session, part: UploadPart, *, expires_after_s: int) -> UploadPart:
    upload = lock_open(session, workspace_id=part.workspace_id, upload_id=part.upload_id)
    uploads = UploadRepository(session, part.workspace_id)
    num_parts, num_bytes = uploads.received(upload.id)
    # lost parts may be sent again, even all of them; but no small upload is a way around what a workspace may keep
    most = 2 * upload.num_bytes + min(MAX_PART_BYTES, upload.num_bytes)
    if num_parts >= MAX_PARTS or num_bytes + part.num_bytes > most:
        raise Conflict(
            f"This upload was announced with {upload.num_bytes:,} bytes, and {num_bytes:,} in {num_parts:,} parts have "
            "arrived already. Complete it with those, or cancel it and begin anew.",
            code="too_many_parts",
            param="data",
        )
    uploads.prolong(upload.id, expires_after_s=expires_after_s)
    return uploads.add_part(part)


def _check_quota(
    session: Session, uploads: UploadRepository, workspace_id: str, num_bytes: int, settings: Settings
) -> None:
    uploads.lock_quota()
    num_open, open_bytes = uploads.open()
    max_open, max_bytes = settings.max_open_uploads_per_workspace, settings.max_open_upload_bytes_per_workspace
    if num_open >= max_open or open_bytes + num_bytes > max_bytes:
        raise Conflict(
            f"{num_open} uploads of this workspace are open with {open_bytes:,} bytes together; at most {max_open} "
            f"with {max_bytes:,} bytes may be. Complete or cancel some of them, or wait until they expire.",
            code="upload_quota_exceeded",
        )
    files.check_room(
        session,
        workspace_id=workspace_id,
        num_bytes=open_bytes + num_bytes,
        max_stored_bytes=settings.max_workspace_bytes,
    )


def _key_prefix(workspace_id: str, upload_id: str) -> str:
    return f"workspaces/{workspace_id}/uploads/{upload_id}/"


def _over(upload: Upload) -> Conflict:
    sentences = {
        UploadStatus.COMPLETED: ("The upload was completed already: its file is there.", "upload_completed"),
        UploadStatus.CANCELLED: ("The upload was cancelled. Begin a new one.", "upload_cancelled"),
        UploadStatus.EXPIRED: ("The upload has expired, and its parts are gone. Begin a new one.", "upload_expired"),
    }
    message, code = sentences[upload.status]
    return Conflict(message, code=code, param="upload_id", details={"status": upload.status.value})


def _not_found(upload_id: str) -> NotFound:
    return NotFound(f"There is no upload {upload_id} in this workspace.", code="upload_not_found", param="upload_id")
