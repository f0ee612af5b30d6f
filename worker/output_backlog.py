"""What a child printed and the database does not have yet: bounded, and handed over about once a second."""

import codecs
import threading
import time

_SHIP_EVERY_S = 1.0
# a database that is away for long costs the older part of what was printed, never the child's time or our memory
_MAX_CHARS = 256 * 1024


class OutputBacklog:
    """`add` is called by the thread that reads the child, everything else by the one that writes to the database."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._is_writing = False
        self._is_hurried = False
        self._ship_at = 0.0
        self._lock = threading.Lock()

    @property
    def is_waiting(self) -> bool:
        with self._lock:
            return self._is_writing or bool(self._text)

    def add(self, chunk: bytes) -> None:
        text = self._decoder.decode(chunk)
        with self._lock:
            self._text = (self._text + text)[-_MAX_CHARS:]

    def hurry(self) -> None:
        """The child is dead: the rest need not wait for its second."""
        self._is_hurried = True

    def take(self) -> str:
        """All there is, as the database can keep it, if it is time; to be followed by `written` or `put_back`."""
        with self._lock:
            if not self._text or (time.monotonic() < self._ship_at and not self._is_hurried):
                return ""
            text, self._text = self._text, ""
            self._is_writing = True
            self._ship_at = time.monotonic() + _SHIP_EVERY_S
        # Postgres keeps no NUL
        return text.replace("\0", "\N{REPLACEMENT CHARACTER}")

    def written(self) -> None:
        with self._lock:
            self._is_writing = False

    def put_back(self, text: str) -> None:
        with self._lock:
            self._text = (text + self._text)[-_MAX_CHARS:]
            self._is_writing = False
