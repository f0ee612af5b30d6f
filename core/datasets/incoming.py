"""A file on its way in: its bytes are spooled, inspected, stored, entered. Refused, it leaves nothing."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from core.backends.blobs import BlobStore
from core.datasets import files
from core.datasets.files import NewFile
from core.datasets.formats import refusals, registry
from core.datasets.formats.lines import StreamGuard
from core.datasets.inspection import VALIDATED
from core.datasets.models import File
from core.datasets.purposes import Purpose
from core.datasets.reading.service import inspect_apart
from core.datasets.spool import Spool
from core.datasets.types import FileFormat, Inspection
from core.db.session import Database, workspace_scope
from core.errors import Invalid, NotFound
from core.idempotency import service as idempotency
from core.idempotency.service import Attempt
from core.kit.hashing import sha256_bytes
from core.kit.ids import new_id
from core.workspaces.principal import Principal

AttemptOf = Callable[[str], Attempt | None]
"""Which create this is, from the sha256 of all that was sent; None where nobody could be repeating it."""


class IncomingFile:
    """`feed` until the bytes end or it says no, then `finish`; `close` in any case."""

    def __init__(self, *, filename: str, purpose: Purpose | None, directory: Path, max_bytes: int) -> None:
        """Without a `purpose`, which is then told at the end, all bytes are taken before any is judged.

        Raises `Invalid` for a kind of file that is not read.
        """
        self.filename = files.safe_filename(filename)
        self._is_judged_early = purpose is Purpose.FINE_TUNE
        if self._is_judged_early:
            registry.refuse_unread(self.filename)
        self._directory = directory
        self._guard = StreamGuard()
        self._is_guarded = registry.is_of_lines(self.filename)
        self._is_refused = False
        self._spool = Spool(
            directory=directory,
            max_bytes=max_bytes,
            too_large=f"The file is larger than {max_bytes:,} bytes, the most that is accepted here at once. Send it "
            "in parts (POST /v1/uploads), split it, or keep only the columns that are questions and answers.",
        )

    def close(self) -> None:
        """Drop the bytes. They are in the object store by then, or were refused."""
        self._spool.close()

    def feed(self, chunk: bytes) -> bool:
        """Take more bytes. False when no more are wanted, since the file will be refused; `finish` then says why.

        Raises TooLarge at the first byte beyond the limit, and InsufficientStorage when the disk is full.
        """
        self._spool.write(chunk)
        if self._is_guarded:
            self._is_refused = self._is_refused or not self._guard.accepts(chunk)
        return not (self._is_refused and self._is_judged_early)

    def finish(
        self,
        *,
        principal: Principal,
        database: Database,
        blobs: BlobStore,
        purpose: Purpose = Purpose.FINE_TUNE,
        expires_after_s: int | None = None,
        max_stored_bytes: int = 0,
        attempt_of: AttemptOf | None = None,
        beside: Callable[[Session, File], None] | None = None,
    ) -> File:
        """Inspect, store, enter; `beside` does what belongs into the transaction of the entry, and may refuse it.

        Raises `Invalid` for a file that cannot be used as a whole, `TooLarge` for one that there is no room for.

        What `attempt_of` knows as done already is not entered again: the first file is the answer.
        """
        new = self._new_file(purpose, expires_after_s)
        key = files.object_key(principal.workspace_id, new.id)
        try:
            blobs.put_stream(key, self._spool.rewound())
            with database.session(workspace_scope(principal.workspace_id)) as session:
                file = _enter_once(session, new, principal, attempt_of, max_stored_bytes=max_stored_bytes)
                if beside is not None:
                    beside(session, file)
        except DBAPIError as error:
            if entered := entered_after_all(new.id, error, principal=principal, database=database):
                return entered
            forget(blobs, key)
            raise
        except BaseException:
            forget(blobs, key)
            raise
        if file.id != new.id:
            forget(blobs, key)
        return file

    def enter(self, session: Session, *, principal: Principal, blobs: BlobStore, max_stored_bytes: int = 0) -> File:
        """Inspect, store and enter it in this session's transaction, for what the service itself wrote to learn from.

        A transaction that fails after it leaves bytes that no row names.
        """
        new = self._new_file(Purpose.FINE_TUNE, None)
        key = files.object_key(principal.workspace_id, new.id)
        blobs.put_stream(key, self._spool.rewound())
        try:
            return files.record(session, principal=principal, new=new, max_stored_bytes=max_stored_bytes)
        except BaseException:
            forget(blobs, key)
            raise

    def _new_file(self, purpose: Purpose, expires_after_s: int | None) -> NewFile:
        found, file_format = self._inspected(purpose)
        return NewFile(
            id=new_id("file-"),
            filename=self.filename,
            purpose=purpose,
            format=file_format,
            num_bytes=self._spool.num_bytes,
            sha256=self._spool.sha256,
            inspection=found,
            expires_after_s=expires_after_s,
        )

    def _inspected(self, purpose: Purpose) -> tuple[Inspection | None, FileFormat | None]:
        if purpose is not Purpose.FINE_TUNE:
            if self._spool.num_bytes == 0:
                raise Invalid("The file is empty.", code="file_empty", param="file")
            return None, None
        registry.refuse_unread(self.filename)
        if self._spool.num_bytes == 0:
            raise refusals.file_empty()
        found = inspect_apart(
            self._spool.rewound(),
            self.filename,
            portion=VALIDATED,
            reads_all=self._is_refused,
            directory=self._directory,
        )
        if self._is_refused:
            # the guard may refuse only what the parser refuses; should they ever differ, the safe side is to refuse
            raise refusals.not_text(found.num_rows)
        return found, found.format


def entered_after_all(file_id: str, error: DBAPIError, *, principal: Principal, database: Database) -> File | None:
    """The file if it was entered after all: a connection that is lost during a commit leaves that open.

    While the database cannot tell, `error` is raised and the bytes stay: a file without its bytes would be worse.
    """
    try:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            return files.get(session, workspace_id=principal.workspace_id, file_id=file_id)
    except NotFound:
        return None
    except SQLAlchemyError:
        raise error from None


def forget(blobs: BlobStore, key: str) -> None:
    """Drop what was stored for nothing; what cannot be dropped now is no reason to fail otherwise."""
    with contextlib.suppress(Exception):
        blobs.delete(key)


def _enter_once(
    session: Session, new: NewFile, principal: Principal, attempt_of: AttemptOf | None, *, max_stored_bytes: int
) -> File:
    sent = [new.filename, new.purpose, new.sha256, new.expires_after_s]
    attempt = attempt_of(sha256_bytes(json.dumps(sent).encode())) if attempt_of else None
    first = idempotency.first_answer(session, attempt) if attempt else None
    if first is not None:
        # what was deleted since is uploaded anew
        with contextlib.suppress(NotFound):
            return files.get(session, workspace_id=principal.workspace_id, file_id=str(first["id"]))
    file = files.record(session, principal=principal, new=new, max_stored_bytes=max_stored_bytes)
    if attempt:
        idempotency.keep(session, attempt, {"id": file.id})
    return file
