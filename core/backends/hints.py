"""Hints are sent by a thread of their own, so that a dead, hanging or full server costs whoever gives one nothing.

What cannot be sent is dropped: the row in the database is the truth, and whoever waits for a hint also looks by itself.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Hint = TypeVar("Hint", bound=Hashable)

_MAX_PENDING = 1000
_IDLE_S = 10.0


class HintSender(Generic[Hint]):
    """`give` returns at once. One hint given many times before it is sent is sent once."""

    def __init__(self, what: str, send: Callable[[Hint], object], failures: tuple[type[Exception], ...]) -> None:
        self._what = what
        self._send = send
        self._failures = failures
        # a dict for its order
        self._pending: dict[Hint, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_sending = False
        self._is_away = False
        self._error: Exception | None = None

    def give(self, hint: Hint) -> None:
        with self._changed:
            if len(self._pending) >= _MAX_PENDING:
                return
            self._pending[hint] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"hints-{self._what}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; False if that took too long. For a process that is about to end."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._pending and not self._is_sending, timeout=max(0.0, deadline - time.monotonic())
            )

    def _run(self) -> None:
        while (hint := self._next()) is not None:
            # the first failure may be that of a connection whose server was restarted since
            if self._try(hint) or (not self._is_away and self._try(hint)):
                self._note_answer()
            else:
                self._note_outage()

    def _try(self, hint: Hint) -> bool:
        try:
            self._send(hint)
        except self._failures as error:
            self._error = error
            return False
        except Exception:
            # this thread must outlive whatever a client library makes of a broken server
            logger.exception("%s could not be sent", self._what)
        return True

    def _note_outage(self) -> None:
        if not self._is_away:
            logger.warning("%s are lost for now, and work goes on at the pace of polls: %s", self._what, self._error)
        self._is_away = True
        with self._changed:
            # they would go the same way, each after its own timeout
            self._pending.clear()

    def _note_answer(self) -> None:
        if self._is_away:
            logger.info("%s are sent again", self._what)
        self._is_away = False

    def _next(self) -> Hint | None:
        """The oldest hint; None when there was none for a while, and then the thread ends."""
        with self._changed:
            self._is_sending = False
            self._changed.notify_all()
            if not self._pending and not self._changed.wait_for(lambda: self._pending, timeout=_IDLE_S):
                self._thread = None
                return None
            hint = next(iter(self._pending))
            del self._pending[hint]
            self._is_sending = True
            return hint
