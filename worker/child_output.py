"""What a child prints: to a file beside its work, to whoever follows it live, and its end kept for its last words."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

LOG_FILE = "child.log"
_TAIL_BYTES = 64 * 1024
_MAX_LOG_BYTES = 4 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024


class ChildOutput:
    """Reads in a thread of its own, so that the child never waits for a full pipe, whatever becomes of what it said."""

    def __init__(self, stream: IO[bytes] | None, log: Path, follow: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._log = log
        self._follow = follow
        self._tail = b""
        self._thread = threading.Thread(target=self._read, name="child-output", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        # a helper of the child that outlives it may hold the pipe open
        self._thread.join(timeout=2)

    def save_tail(self, path: Path) -> None:
        with suppress(OSError):
            path.write_bytes(self._tail)

    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")

    def _read(self) -> None:
        num_bytes = 0
        with suppress(OSError, ValueError):
            while self._stream is not None and (chunk := os.read(self._stream.fileno(), _CHUNK_BYTES)):
                self._tail = (self._tail + chunk)[-_TAIL_BYTES:]
                self._follow(chunk)
                # a full disk, or a child that prints without end, must stop neither the child nor its live log
                if num_bytes < _MAX_LOG_BYTES:
                    num_bytes += len(chunk)
                    with suppress(OSError), self._log.open("ab") as log:
                        log.write(chunk)
