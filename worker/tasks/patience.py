"""Work that may have to wait for a server, done under a lease that is watched meanwhile.

The work runs in a thread of its own: a server that swallows every packet keeps it for minutes, and a cancel, a deploy
or a lost lease must be answered in seconds. A thread that is left behind can only write below its own attempt's prefix,
and what it writes there is swept away.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from core.errors import Unavailable
from worker.context import WorkContext
from worker.lease_keeper import AWAY
from worker.supervise import ChildResult, JobCancelled, JobInterrupted, JobPaused, LeaseLost

logger = logging.getLogger(__name__)

T = TypeVar("T")

_POLL_S = 0.1
_FIRST_WAIT_S, _MAX_WAIT_S = 0.5, 30.0
# a store that spoils what it is given does not mend by being waited for
_MAX_DAMAGED = 3
_AWAY = (Unavailable, *AWAY)


class _Call(Generic[T]):
    """One call in a thread."""

    def __init__(self, action: Callable[[], T]) -> None:
        self._action = action
        self._values: list[T] = []
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="patient-call", daemon=True)
        self.thread.start()

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self._values[0]

    def _run(self) -> None:
        try:
            self._values.append(self._action())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            self.error = error


def patiently(
    context: WorkContext,
    action: Callable[[], T],
    *,
    what: str,
    for_s: float,
    so_far: ChildResult | None = None,
) -> T:
    """`action()`, tried again while servers are away, for at most `for_s`; then its last error is raised.

    Raises `JobCancelled`, `JobInterrupted`, `JobPaused` or `LeaseLost`, with what the child did `so_far`, as soon as
    there is a reason to. `action` must bear being done twice.
    """
    give_up_at, wait_s, num_damaged = time.monotonic() + for_s, _FIRST_WAIT_S, 0
    while True:
        call = _Call(action)
        while call.thread.is_alive():
            _stop_if_asked(context, so_far)
            call.thread.join(_POLL_S)
        try:
            return call.result()
        except _AWAY as error:
            num_damaged += isinstance(error, Unavailable) and error.error_code == "adapter_damaged"
            if num_damaged >= _MAX_DAMAGED or time.monotonic() + wait_s > give_up_at:
                raise
            logger.warning("%s waits %.1f s for servers: %s", what, wait_s, error)
        _wait(context, wait_s, so_far)
        wait_s = min(2 * wait_s, _MAX_WAIT_S)


def as_long_as_ours(context: WorkContext, action: Callable[[], T], *, what: str) -> T:
    """How an attempt ended, entered as soon as the database listens; once the lease has run out, others have said it.

    No wish of its owner matters any more. `action` must bear being done twice.
    """
    while True:
        try:
            return action()
        except AWAY as error:
            if context.keeper is None or context.keeper.is_lost:
                raise
            logger.warning("%s waits for the database: %s", what, error)
            time.sleep(_FIRST_WAIT_S)


def in_background(action: Callable[[], object], *, wait_s: float) -> None:
    """Do what is good to have done soon, and is done by a sweep if not now."""
    call = _Call(action)
    call.thread.join(wait_s)
    if call.error is not None:
        logger.warning("left to the next sweep: %s", call.error)


def _wait(context: WorkContext, seconds: float, so_far: ChildResult | None) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _stop_if_asked(context, so_far)
        context.stopping.wait(min(_POLL_S, max(0.0, until - time.monotonic())))


def _stop_if_asked(context: WorkContext, so_far: ChildResult | None) -> None:
    keeper, result = context.keeper, so_far or nothing_done()
    if keeper is not None and keeper.is_lost:
        raise LeaseLost(result)
    if keeper is not None and keeper.cancel_requested:
        raise JobCancelled(result)
    if context.is_handing_back:
        raise JobInterrupted(result)
    if keeper is not None and keeper.pause_requested:
        raise JobPaused(result, reason="requested")


def nothing_done(billable_s: float = 0.0) -> ChildResult:
    """For an attempt that needed no child, or never got to it."""
    return ChildResult(exit_code=0, result=None, error=None, seconds=0.0, stderr_tail="", billable_s=billable_s)
