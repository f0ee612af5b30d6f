"""Becomes a job's program, after binding it to its limits and to its supervisor's life.

Run as a script: `python -I -S launch.py SUPERVISOR_PID LIMITS PROGRAM …`, LIMITS being JSON of resource names and
numbers.
It is a process of its own because code between fork and exec may deadlock where the parent has threads.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def die_with(parent_pid: int) -> None:
    """The kernel ends this process when its parent ends. What it becomes keeps that, what it starts does not."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            # it died before we could ask to die with it
            sys.exit(1)


def main(supervisor_pid: int, limits: dict[str, int], argv: list[str]) -> None:
    die_with(supervisor_pid)
    if sys.platform == "linux":
        # when the machine has no memory left, this is what must go: not its supervisor, and not the database
        with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - no site, little import
            score.write("1000")
    for name, wanted in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(kind, (value, value))
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
