"""Waiting for what other threads and processes do, without guessing how long they take."""

import time
from collections.abc import Callable

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.005, 0.05


def eventually(condition: Callable[[], object], *, timeout_s: float = 60) -> None:
    """Returns as soon as it holds. It looks often at first, and then seldom enough to leave the others the machine."""
    deadline, pause_s = time.monotonic() + timeout_s, _FIRST_PAUSE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {timeout_s:.0f} s"
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, _MAX_PAUSE_S)
