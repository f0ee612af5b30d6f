"""The GPUs of this machine, asked of the driver's own program: no ML library is loaded, and nothing is initialised."""

import csv
import re
import shutil
import subprocess
from collections.abc import Sequence

from core.workers.types import Device

CPU = "cpu"
_QUERY = "index,uuid,name,memory.total,memory.used,utilization.gpu"
_TIMEOUT_S = 10
_MIB = 1024 * 1024
_GIB = 1024 * _MIB
# names of one device that the driver spells differently from a seller
_KEYS = [
    (re.compile(r"\bA100\b"), "a100"),
    (re.compile(r"\bRTX A(\d{4})\b"), r"a\1"),
    (re.compile(r"\b([ABHLTV]\d{1,3}[GSL]?)\b"), r"\1"),
    (re.compile(r"\bRTX (?:PRO )?(\d{4})( Ti)?( SUPER)?"), r"rtx-\1\2\3"),
]


def gpus(visible: str | None = None) -> list[Device]:
    """All GPUs, or those that `visible`, a value of CUDA_VISIBLE_DEVICES, names. None where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program, found in PATH
            [program, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return chosen(parse(done.stdout), visible) if done.returncode == 0 else []


def parse(table: str) -> list[Device]:
    """What the driver's program printed; lines that are not a GPU's are left out."""
    devices = []
    for row in csv.reader(table.splitlines(), skipinitialspace=True):
        if len(row) != len(_QUERY.split(",")) or not row[0].isdecimal():
            continue
        index, uuid, name, total, used, busy = row
        # "[N/A]" on machines whose GPU shares its memory, or where the driver may not tell
        devices.append(
            Device(
                index=int(index),
                uuid=uuid,
                name=name,
                memory_bytes=_number(total) * _MIB,
                used_bytes=_number(used) * _MIB,
                utilization=int(busy) / 100 if busy.isdecimal() else None,
            )
        )
    return devices


def chosen(devices: Sequence[Device], visible: str | None) -> list[Device]:
    """As CUDA reads it: in the order named, by index or the beginning of a uuid; what follows an unknown is hidden."""
    if visible is None:
        return list(devices)
    found: list[Device] = []
    for name in (part.strip() for part in visible.split(",")):
        match = [device for device in devices if name and (str(device.index) == name or device.uuid.startswith(name))]
        if not match:
            break
        found.append(match[0])
    return found


def key_of(devices: Sequence[Device]) -> str:
    """The key of the price of these devices: `cpu`, or `gpu:` and the name of the first."""
    return key_of_gpu(devices[0].name, memory_bytes=devices[0].memory_bytes) if devices else CPU


def key_of_gpu(name: str, *, memory_bytes: int) -> str:
    for pattern, form in _KEYS:
        if match := pattern.search(name):
            key = match.expand(form).strip().lower().replace(" ", "-")
            break
    else:
        key = re.sub(r"[^a-z0-9]+", "-", name.lower().replace("nvidia", "").replace("geforce", "")).strip("-")
    if key == "a100":
        key = "a100-80gb" if memory_bytes > 60 * _GIB else "a100-40gb"
    return f"gpu:{key}"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
