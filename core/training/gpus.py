"""The GPUs that plans are made for: memory as their driver tells it, and what they can do at most.

Peaks are the makers' figures for dense bfloat16 products and for memory; nobody reaches them (`throughput.py`).
"""

from dataclasses import dataclass
from typing import Final

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Gpu:
    key: str
    """Of its price: see `core.workers.hardware`."""
    name: str
    memory_bytes: int
    flops: float
    """bfloat16 operations a second, dense."""
    bytes_per_s: float


KNOWN: Final = (
    Gpu("gpu:l4", "L4 24 GB", 23_034 * _MIB, 1.21e14, 3.0e11),
    Gpu("gpu:a10g", "A10G 24 GB", 23_028 * _MIB, 0.70e14, 6.0e11),
    Gpu("gpu:rtx-4090", "RTX 4090 24 GB", 24_564 * _MIB, 1.65e14, 1.0e12),
    Gpu("gpu:a100-40gb", "A100 40 GB", 40_960 * _MIB, 3.12e14, 1.55e12),
    Gpu("gpu:a40", "A40 48 GB", 46_068 * _MIB, 1.50e14, 7.0e11),
    Gpu("gpu:a6000", "RTX A6000 48 GB", 49_140 * _MIB, 1.55e14, 7.7e11),
    Gpu("gpu:l40s", "L40S 48 GB", 46_068 * _MIB, 3.62e14, 8.6e11),
    Gpu("gpu:a100-80gb", "A100 80 GB", 81_920 * _MIB, 3.12e14, 2.0e12),
    Gpu("gpu:h100", "H100 80 GB", 81_559 * _MIB, 9.89e14, 3.35e12),
    Gpu("gpu:h200", "H200 141 GB", 143_771 * _MIB, 9.89e14, 4.8e12),
    Gpu("gpu:b200", "B200 180 GB", 183_359 * _MIB, 2.25e15, 8.0e12),
)
# one of each size that is sold: what the page and the refusals name
SIZES: Final = tuple(gpu for gpu in KNOWN if gpu.key in {"gpu:l4", "gpu:a100-40gb", "gpu:l40s", "gpu:h100", "gpu:h200"})
# of a card that nobody has listed: a modest one, so that no promise is broken
UNKNOWN: Final = Gpu("gpu", "GPU", 0, 1.0e14, 6.0e11)


def find(key: str) -> Gpu:
    return next((gpu for gpu in KNOWN if gpu.key == key), UNKNOWN)
