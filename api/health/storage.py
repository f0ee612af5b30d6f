"""Whether the object store answers, asked so that a store which answers nobody cannot hold up those who ask."""

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import Final

from core.backends.blobs import BlobStore
from core.errors import AppError

_PREFIX: Final = "health/"
_TIMEOUT_S: Final = 2.0


class StorageProbe:
    """One question at a time, in a thread of its own, shared by all who ask meanwhile."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._lock = threading.Lock()
        self._asked: Future[bool] | None = None

    def passes(self, *, timeout_s: float = _TIMEOUT_S) -> bool:
        """False if the store does not answer in time, or has no such bucket."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = Future()
                threading.Thread(target=self._ask, args=(self._asked,), name="storage-probe", daemon=True).start()
            asked = self._asked
        try:
            return asked.result(timeout_s)
        except NotInTime:
            return False

    def _ask(self, answer: Future[bool]) -> None:
        try:
            # a list, for a store says of an object in a missing bucket only that the object is not there
            self._blobs.keys(_PREFIX)
        except AppError:
            answer.set_result(False)
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            answer.set_exception(error)
        else:
            answer.set_result(True)
