"""Which floating-point type a machine computes in: a function of the hardware alone, so equal machines train alike."""

import functools
import subprocess
import sys

import torch

_PROBE_TIMEOUT_S = 60
_PROBE = "import torch; a = torch.ones(64, 64, dtype=torch.bfloat16); torch.nn.functional.linear(a, a)"


def compute_dtype(device: str) -> torch.dtype:
    """Bfloat16 where the hardware has it, else float32: float16's range loses one run in five (QLoRA).

    Some virtual machines show a processor's AMX unit and stop the process that uses it. A product in a throw-away
    process finds out; processors without AMX are not asked, so they pay nothing.
    """
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - torch has no public name for it
    has_amx = torch.cpu._is_amx_tile_supported()  # noqa: SLF001
    if not has_bfloat16 or (has_amx and not _survives_probe()):
        return torch.float32
    return torch.bfloat16


@functools.cache  # it takes a second
def _survives_probe() -> bool:
    finished = subprocess.run(  # noqa: S603 - our own interpreter and a constant
        [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
    )
    return finished.returncode == 0
