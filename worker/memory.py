"""Who was killed for memory, and how much a child uses."""

from contextlib import suppress
from pathlib import Path

import psutil

_VMSTAT = Path("/proc/vmstat")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def num_oom_kills() -> int:
    """How often the kernel has killed for memory, as far as this process may see: on the machine, in its own group."""
    return sum(_counted(path) for path in (_VMSTAT, *_group_files()))


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


def _group_files() -> list[Path]:
    """The counters of our memory group: `memory.events` of version 2, `memory.oom_control` of version 1."""
    with suppress(OSError):
        found = []
        for line in _OWN_GROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0":
                found.append(_GROUPS / path.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                found.append(_GROUPS / "memory" / path.lstrip("/") / "memory.oom_control")
        return found
    return []


def _counted(path: Path) -> int:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    return 0
