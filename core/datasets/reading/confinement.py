"""What a process takes from itself before it reads what a stranger wrote: memory, time, files, the network, its heirs.

Python is told no by a hook, and the kernel by limits, which hold for libraries in C as well.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Final

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_MAX_OPEN_FILES: Final = 32
_FORBIDDEN: Final = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "ctypes.dlopen")


@dataclass(frozen=True, slots=True)
class Limits:
    max_memory_bytes: int = 1024**3
    max_cpu_s: int = 8
    max_wall_s: int = 30
    """Much longer than what it may compute, for its bytes may come slowly."""
    max_file_bytes: int = 512 * 1024**2


def confine(limits: Limits) -> None:
    """Irrevocable. What breaks a limit ends the process, or is a `MemoryError` or an `OSError` in it."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.max_memory_bytes, limits.max_memory_bytes))
    # the soft limit's signal ends the process as the hard one's does
    resource.setrlimit(resource.RLIMIT_CPU, (limits.max_cpu_s, limits.max_cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.max_file_bytes, limits.max_file_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_OPEN_FILES, _MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, limits.max_wall_s)
    if sys.platform == "linux":
        leave_the_network()
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    sys.addaudithook(_refuse)


def die_with(parent_pid: int) -> None:
    """The kernel ends this process when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:
            sys.exit(1)
        # when the machine has no memory left, this is what must go
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - no import
            score.write("1000")


def leave_the_network() -> None:
    """Where the kernel lets it: into a network that has no way out, and without a way to more rights.

    Before the process has threads: with them the kernel refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)


def _refuse(event: str, _: object) -> None:
    if event.startswith(_FORBIDDEN):
        raise PermissionError(f"{event} is not for whoever reads a stranger's file")
