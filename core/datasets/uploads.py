"""A file on its way in: bytes to an unnamed temporary file, inspected, stored, entered. Refused, it leaves nothing.

The temporary file has no name from the start, so that even a killed process leaves none behind.
"""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.backends.blobs import BlobStore
from core.datasets import files, inspection
from core.datasets.formats import refusals
from core.datasets.formats.lines import StreamGuard
from core.datasets.models import File
from core.datasets.types import Inspection
from core.db.session import Database, workspace_scope
from core.errors import InsufficientStorage, NotFound, TooLarge
from core.kit.ids import new_id
from core.workspaces.principal import Principal


class Upload:
    """`feed` until the bytes end or it says no, then `finish`; `close` in any case."""

    def __init__(self, *, filename: str, directory: Path, max_bytes: int) -> None:
        """Raises Invalid for a kind of file that is not read."""
        self.filename = files.safe_filename(filename)
        self._format = inspection.format_of(self.filename)
        self._max_bytes = max_bytes
        self._guard = StreamGuard()
        self._sha256 = hashlib.sha256()
        self._num_bytes = 0
        self._is_refused = False
        with _room_on_disk():
            directory.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close()

    def close(self) -> None:
        """Drop the bytes. They are in the object store by then, or were refused."""
        # a full disk refuses the last buffered bytes once more; the file is closed all the same
        with contextlib.suppress(OSError):
            self._file.close()

    def feed(self, chunk: bytes) -> bool:
        """Take more bytes. False when no more are wanted, since the file will be refused; `finish` then says why.

        Raises TooLarge at the first byte beyond the limit, and InsufficientStorage when the disk is full.
        """
        self._num_bytes += len(chunk)
        if self._num_bytes > self._max_bytes:
            raise TooLarge(
                f"The file is larger than {self._max_bytes:,} bytes, the most that is accepted here. Split it, or keep "
                "only the columns that are questions and answers.",
                code="file_too_large",
                param="file",
            )
        self._sha256.update(chunk)
        with _room_on_disk():
            self._file.write(chunk)
        self._is_refused = not self._guard.accepts(chunk)
        return not self._is_refused

    def finish(self, *, principal: Principal, database: Database, blobs: BlobStore, max_stored_bytes: int = 0) -> File:
        """Inspect, store, enter.

        Raises Invalid for a file that cannot be used as a whole, TooLarge for one that the workspace has no room for.
        """
        with _room_on_disk():
            self._file.flush()
        found = self._inspect()
        file_id = new_id("file-")
        key = files.object_key(principal.workspace_id, file_id)
        try:
            self._file.seek(0)
            blobs.put_stream(key, self._file)
            with database.session(workspace_scope(principal.workspace_id)) as session:
                return files.record(
                    session,
                    principal=principal,
                    file_id=file_id,
                    filename=self.filename,
                    file_format=self._format,
                    num_bytes=self._num_bytes,
                    sha256=self._sha256.hexdigest(),
                    inspection=found,
                    max_stored_bytes=max_stored_bytes,
                )
        except DBAPIError as error:
            if entered := _entered(file_id, error, principal=principal, database=database):
                return entered
            _forget(blobs, key)
            raise
        except BaseException:
            _forget(blobs, key)
            raise

    def _inspect(self) -> Inspection:
        if self._num_bytes == 0:
            raise refusals.file_empty()
        self._file.seek(0)
        found = inspection.inspect(self._file, self._format, reads_all=self._is_refused)
        if self._is_refused:
            # the guard may refuse only what the parser refuses; should they ever differ, the safe side is to refuse
            raise refusals.not_text(found.num_rows)
        return found


@contextlib.contextmanager
def _room_on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise InsufficientStorage(
            "The server's disk is full, so the file could not be taken; nothing of it was kept. Ask your admin to make "
            "room, then upload it again.",
            param="file",
        ) from error


def _entered(file_id: str, error: DBAPIError, *, principal: Principal, database: Database) -> File | None:
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


def _forget(blobs: BlobStore, key: str) -> None:
    with contextlib.suppress(Exception):
        blobs.delete(key)
