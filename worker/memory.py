"""Who was killed for memory, and how much a child uses."""

from contextlib import suppress
from pathlib import Path

import psutil

_VMSTAT = Path("/proc/vmstat")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_COUNTERS = ("memory.events", "memory.oom_control")
_LIMITS = ("memory.max", "memory.limit_in_bytes")


def num_oom_kills() -> int:
    """How often the kernel has killed for memory, as far as this process may see: on the machine, in its own group."""
    return sum(_counted(path) for path in (_VMSTAT, *_group_files(*_COUNTERS)))


def total_bytes() -> int:
    """What this process may use at most: the machine's memory, or what its group is allowed of it."""
    return min([psutil.virtual_memory().total, *filter(None, map(_limit, _group_files(*_LIMITS)))])


def used_bytes(pid: int) -> int:
    """Resident memory of a process and all its descendants; 0 if it is gone."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return sum(_resident_bytes(one) for one in (process, *process.children(recursive=True)))
    return 0


def _resident_bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def _group_files(of_version_2: str, of_version_1: str) -> list[Path]:
    """Of our memory group."""
    with suppress(OSError):
        found = []
        for line in _OWN_GROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                found.append(_GROUPS / path.lstrip("/") / of_version_2)
            elif "memory" in controllers.split(","):
                found.append(_GROUPS / "memory" / path.lstrip("/") / of_version_1)
        return found
    return []


def _limit(path: Path) -> int | None:
    with suppress(OSError):
        text = path.read_text().strip()
        # without a limit it says "max", or in version 1 a number beyond all machines
        return int(text) if text.isdecimal() else None
    return None


def _counted(path: Path) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
