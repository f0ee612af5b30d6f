"""The file of an upload's parts: they are read once, in the order named, and written as one object as they are read.

Of a file of any size so much is in memory as `core.backends.blobs.MAX_IN_FLIGHT_BYTES` says. Who makes the file holds
a claim on the upload, so that of two who complete it at once one makes it, and the other is answered with what that one
made.
"""

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from typing_extensions import Buffer

from core.backends.blobs import BlobStore
from core.datasets import files
from core.datasets.files import NewFile
from core.datasets.formats import refusals
from core.datasets.formats.lines import StreamGuard
from core.datasets.formats.registry import is_of_lines
from core.datasets.incoming import entered_after_all, forget
from core.datasets.inspection import VALIDATED
from core.datasets.models import Upload, UploadPart
from core.datasets.purposes import Purpose
from core.datasets.reading.service import inspect_apart
from core.datasets.types import FileFormat, Inspection, UploadStatus
from core.datasets.uploads.repository import UploadRepository
from core.datasets.uploads.service import (
    UploadDetails,
    details_of,
    get,
    in_flight,
    lock_open,
    remove_parts_after_commit,
)
from core.db.session import Database, workspace_scope
from core.errors import Invalid
from core.kit.ids import new_id
from core.workspaces.principal import Principal

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Work:
    """What one claim is for."""

    upload: Upload
    parts: Sequence[UploadPart]
    claim: str
    max_stored_bytes: int


class _Refused(Exception):
    """The bytes cannot be a file of examples; a parser tells why."""


def complete(
    *,
    principal: Principal,
    upload_id: str,
    part_ids: Sequence[str],
    md5: str | None,
    database: Database,
    blobs: BlobStore,
    max_stored_bytes: int = 0,
) -> UploadDetails:
    """Make the file. Asking again for the same gives the same.

    Raises as `lock_open`; and `Invalid` for parts that are not there (`part_not_found`) or are not what was announced
    (`upload_incomplete`, `checksum_mismatch`), and for a file that cannot be used: then other parts may be sent.
    """
    scope = workspace_scope(principal.workspace_id)
    with database.session(scope) as session:
        done = _completed_with(session, principal.workspace_id, upload_id, part_ids)
        if done is not None:
            return done
        work = _claim(session, principal.workspace_id, upload_id, part_ids, max_stored_bytes=max_stored_bytes)
    try:
        return _assemble(work, principal=principal, md5=md5, database=database, blobs=blobs)
    except BaseException as error:
        if not _released(work, database):
            # somebody took it over, believing this one dead, and may be done: asked again, that one's file is told
            raise in_flight() from error
        raise


def _released(work: _Work, database: Database) -> bool:
    """Else whoever tries again would have to wait until the claim is old. False if the claim is another's."""
    try:
        with database.session(workspace_scope(work.upload.workspace_id)) as session:
            return UploadRepository(session, work.upload.workspace_id).release(work.upload.id, work.claim)
    except SQLAlchemyError:
        return True


class PartsStream(io.RawIOBase):
    """Objects of the store end to end, to be read once; `watch` is shown every chunk, and may raise."""

    def __init__(self, blobs: BlobStore, keys: Sequence[str], *, watch: Callable[[bytes], None] | None = None) -> None:
        self._chunks: Iterator[bytes] = (chunk for key in keys for chunk in blobs.read_chunks(key))
        self._watch = watch
        self._rest = memoryview(b"")
        self._position = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Buffer) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            if self._watch is not None:
                self._watch(chunk)
            self._rest = memoryview(chunk)
        target = memoryview(buffer)
        num = min(len(target), len(self._rest))
        target[:num] = self._rest[:num]
        self._rest = self._rest[num:]
        self._position += num
        return num


class _Digests:
    """Of all that passes. Raises `_Refused` at what no file of examples holds."""

    def __init__(self, *, is_guarded: bool) -> None:
        self._guard = StreamGuard() if is_guarded else None
        self.sha256 = hashlib.sha256()
        self.md5 = hashlib.md5(usedforsecurity=False)

    def watch(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.md5.update(chunk)
        if self._guard is not None and not self._guard.accepts(chunk):
            raise _Refused


def _completed_with(
    session: Session, workspace_id: str, upload_id: str, part_ids: Sequence[str]
) -> UploadDetails | None:
    found = get(session, workspace_id=workspace_id, upload_id=upload_id)
    is_same = found.upload.status is UploadStatus.COMPLETED and found.upload.part_ids == list(part_ids)
    return found if is_same else None


def _claim(
    session: Session, workspace_id: str, upload_id: str, part_ids: Sequence[str], *, max_stored_bytes: int
) -> _Work:
    upload = lock_open(session, workspace_id=workspace_id, upload_id=upload_id)
    repository = UploadRepository(session, workspace_id)
    arrived = {part.id: part for part in repository.parts(upload_id)}
    unknown = [part_id for part_id in part_ids if part_id not in arrived]
    twice = [part_id for part_id, count in Counter(part_ids).items() if count > 1]
    if unknown or twice:
        problem = f"has no part {unknown[0][:60]!r}" if unknown else f"cannot have the part {twice[0]} twice"
        raise Invalid(
            f"This upload {problem}. GET /v1/uploads/{upload_id} lists the parts that arrived.",
            code="part_not_found",
            param="part_ids",
        )
    parts = [arrived[part_id] for part_id in part_ids]
    num_bytes = sum(part.num_bytes for part in parts)
    if num_bytes != upload.num_bytes:
        raise Invalid(
            f"The parts have {num_bytes:,} bytes together, and the upload was announced with {upload.num_bytes:,}. "
            "Send what is missing, or name other parts.",
            code="upload_incomplete",
            param="part_ids",
            details={"received_bytes": num_bytes, "announced_bytes": upload.num_bytes},
        )
    claim = new_id("claim_")
    repository.claim(upload_id, claim)
    return _Work(upload, parts, claim, max_stored_bytes)


def _assemble(
    work: _Work, *, principal: Principal, md5: str | None, database: Database, blobs: BlobStore
) -> UploadDetails:
    upload = work.upload
    purpose = Purpose(upload.purpose)
    found, file_format = _inspected(work, purpose, blobs)
    file_id = new_id("file-")
    key = files.object_key(upload.workspace_id, file_id)
    try:
        digests = _written(work, key, blobs, is_guarded=purpose is Purpose.FINE_TUNE and is_of_lines(upload.filename))
        _check_md5(md5, digests.md5.hexdigest())
        new = NewFile(
            id=file_id,
            filename=upload.filename,
            purpose=purpose,
            format=file_format,
            num_bytes=upload.num_bytes,
            sha256=digests.sha256.hexdigest(),
            inspection=found,
            expires_after_s=upload.file_expires_after_s,
        )
        with database.session(workspace_scope(upload.workspace_id)) as session:
            return _enter(session, work, new, principal=principal, blobs=blobs)
    except DBAPIError as error:
        if not entered_after_all(file_id, error, principal=principal, database=database):
            forget(blobs, key)
            raise
        with database.session(workspace_scope(upload.workspace_id)) as session:
            return get(session, workspace_id=upload.workspace_id, upload_id=upload.id)
    except BaseException:
        forget(blobs, key)
        raise


def _inspected(work: _Work, purpose: Purpose, blobs: BlobStore) -> tuple[Inspection | None, FileFormat | None]:
    """As a file of one piece, before anything is written: what is refused costs no copy."""
    if purpose is not Purpose.FINE_TUNE:
        return None, None
    found = inspect_apart(_opened(work, blobs), work.upload.filename, portion=VALIDATED)
    return found, found.format


def _written(work: _Work, key: str, blobs: BlobStore, *, is_guarded: bool) -> _Digests:
    digests = _Digests(is_guarded=is_guarded)
    try:
        blobs.put_stream(key, _opened(work, blobs, watch=digests.watch))
    except _Refused:
        found = inspect_apart(_opened(work, blobs), work.upload.filename, reads_all=True)
        # the guard may refuse only what the parser refuses; should they ever differ, the safe side is to refuse
        raise refusals.not_text(found.num_rows) from None
    return digests


def _check_md5(expected: str | None, found: str) -> None:
    if expected is not None and expected.strip().lower() != found:
        raise Invalid(
            f"The file has the MD5 {found}, and {expected[:64]!r} was expected. A part was damaged on its way, or the "
            "parts are named in another order: send or name them again.",
            code="checksum_mismatch",
            param="md5",
        )


def _opened(work: _Work, blobs: BlobStore, *, watch: Callable[[bytes], None] | None = None) -> io.BufferedReader:
    # whoever asks for so many bytes gets them all, whatever the chunks
    return io.BufferedReader(PartsStream(blobs, [part.object_key for part in work.parts], watch=watch), _MIB)


def _enter(session: Session, work: _Work, new: NewFile, *, principal: Principal, blobs: BlobStore) -> UploadDetails:
    file = files.record(session, principal=principal, new=new, max_stored_bytes=work.max_stored_bytes)
    repository = UploadRepository(session, work.upload.workspace_id)
    part_ids = [part.id for part in work.parts]
    if not repository.complete(work.upload.id, work.claim, part_ids=part_ids, file_id=file.id):
        raise in_flight()
    upload = repository.get(work.upload.id) or work.upload
    remove_parts_after_commit(session, upload, blobs)
    return details_of(session, upload)
