"""Until when a child may work, in a file of its run folder: a supervisor that is stopped, or gone, renews it no more.

The kernel ends the children of a supervisor that dies. One that only stands still (a stopped process, a frozen machine)
dies for nobody, and its child would go on beside the one that took the job over.
"""

import os
import threading
import time
from pathlib import Path
from typing import Self

LEASE_FILE = "lease"
_WIDTH = 24
_LOOK_EVERY_S = 1.0
# core.jobs.exit_codes.ExitCode.INTERRUPTED: another continues from the last checkpoint
_EXIT_CODE = 3


class LeaseFile:
    """The supervisor's side. The deadline is in seconds of CLOCK_MONOTONIC, which all processes of a machine share."""

    def __init__(self, folder: Path) -> None:
        # written in place, at one width: a disk that is full has no room for a new file, but keeps this one
        self._descriptor = os.open(folder / LEASE_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, deadline_s: float) -> None:
        os.pwrite(self._descriptor, f"{deadline_s:.3f}".ljust(_WIDTH - 1).encode() + b"\n", 0)


def watch(folder: Path) -> None:
    """End this process as soon as its lease has run out. No-op for one that was started by hand, without a lease."""
    path = folder / LEASE_FILE
    if path.exists():
        threading.Thread(target=_watch, args=(path,), name="lease-watch", daemon=True).start()


def _watch(path: Path) -> None:
    while True:
        left_s = _deadline_s(path) - time.monotonic()
        if left_s <= 0:
            # at once: whatever it would still write may by now be another's
            os._exit(_EXIT_CODE)
        time.sleep(min(left_s, _LOOK_EVERY_S))


def _deadline_s(path: Path) -> float:
    """In the past if the file is gone: the folder is removed when the job is over here."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return 0.0
