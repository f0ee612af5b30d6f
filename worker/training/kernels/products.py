"""Products with a weight [N outputs, K inputs], forward and back, by the quicker of the two libraries in torch.

On a processor torch multiplies float32 by MKL, whose fast kernels run on Intel's processors only. oneDNN, which torch
brings too and takes for bfloat16, makes its kernels for whatever is there: on two cores of an AMD EPYC 457 GFLOP/s
where MKL reaches 208 (2,048 squared). So float32 is oneDNN's wherever the processor is not Intel's. The choice is a
function of the hardware alone, so equal machines train alike, and either library gives the same bits each time.
"""

from pathlib import Path
from typing import Final, cast

import torch
from torch import Tensor

_CPU_INFO = Path("/proc/cpuinfo")
_INTEL = "GenuineIntel"


def forward(x_TK: Tensor, weight_NK: Tensor) -> Tensor:
    """The output x W^T, [T, N], a new tensor. Both of one dtype; not for autograd."""
    return _by_onednn(x_TK, weight_NK) if _is_for_onednn(x_TK) else torch.mm(x_TK, weight_NK.T)


def back(dy_TN: Tensor, weight_NK: Tensor) -> Tensor:
    """The gradient of x, dy W, [T, K], a new tensor. Both of one dtype; not for autograd."""
    return _by_onednn(dy_TN, weight_NK.T) if _is_for_onednn(dy_TN) else torch.mm(dy_TN, weight_NK)


def across(left_TM: Tensor, right_TN: Tensor) -> Tensor:
    """The sum over tokens left^T right, [M, N], where M is small: a gradient of a low-rank weight."""
    return _by_onednn(left_TM.T, right_TN.T) if _is_for_onednn(left_TM) else torch.mm(left_TM.T, right_TN)


def _is_onednn_faster() -> bool:
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()):  # type: ignore[no-untyped-call]
        return False
    try:
        vendors = {line.split(":")[1].strip() for line in _CPU_INFO.read_text().splitlines() if "vendor_id" in line}
    except OSError:
        return False
    return bool(vendors) and _INTEL not in vendors


def _is_for_onednn(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and PREFERS_ONEDNN


def _by_onednn(x_TK: Tensor, weight_NK: Tensor) -> Tensor:
    # what torch's own compiler calls for a linear layer; it reads a transposed weight as it lies
    return cast("Tensor", torch.ops.mkldnn._linear_pointwise(x_TK, weight_NK, None, "none", [], ""))  # noqa: SLF001


PREFERS_ONEDNN: Final = _is_onednn_faster()
"""Whether this processor multiplies float32 faster by oneDNN. A constant, which compiled layers can look into."""
