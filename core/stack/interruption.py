"""Ctrl-C and TERM, as an exception that unwinds whatever runs, once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """Somebody asked us to stop: Ctrl-C, or a TERM signal."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first Ctrl-C or TERM into `Stopped`; while everything stops, more of them change nothing."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
