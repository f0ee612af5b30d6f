"""Bytes on their way in: kept in a temporary file until they are in the object store.

The file has no name from the start, so that even a killed process leaves none behind.
"""

import contextlib
import errno
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from core.errors import InsufficientStorage, TooLarge


class Spool:
    """`write` until the bytes end, then read `rewound()`; `close` in any case."""

    def __init__(self, *, directory: Path, max_bytes: int, too_large: str, param: str = "file") -> None:
        """`too_large` is the sentence for more than `max_bytes`; `param` is the field that the bytes came in."""
        self._max_bytes, self._too_large, self._param = max_bytes, too_large, param
        self._sha256 = hashlib.sha256()
        self.num_bytes = 0
        with _room_on_disk(param):
            directory.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 - closed by close()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def write(self, chunk: bytes) -> None:
        """Raises `TooLarge` at the first byte beyond the limit, and `InsufficientStorage` when the disk is full."""
        self.num_bytes += len(chunk)
        if self.num_bytes > self._max_bytes:
            raise TooLarge(self._too_large, code="file_too_large", param=self._param)
        self._sha256.update(chunk)
        with _room_on_disk(self._param):
            self._file.write(chunk)

    def rewound(self) -> BinaryIO:
        with _room_on_disk(self._param):
            self._file.flush()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        # a full disk refuses the last buffered bytes once more; the file is closed all the same
        with contextlib.suppress(OSError):
            self._file.close()


@contextlib.contextmanager
def _room_on_disk(param: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise InsufficientStorage(
            "The server's disk is full, so the file could not be taken; nothing of it was kept. Ask your admin to make "
            "room, then upload it again.",
            param=param,
        ) from error
