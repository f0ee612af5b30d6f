"""How much memory base models may take together, and how much one of them needs before any of it is read."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open

from core.config import Settings
from worker import memory

# Of a GPU the rest is for keys and values of conversations under way, and what the driver takes. A processor's memory
# is shared with databases, uploads and training runs.
_SHARE: Final = {"cuda": 0.8, "cpu": 0.5}
# adapters are given room first, but never so much that no base model is left to put them on
_LEAST_SHARE: Final = 0.25


def device_and_dtype() -> tuple[torch.device, torch.dtype]:
    """Where base models lie, and as which numbers."""
    # CPU: float32, because it is the faster one here (SmolLM2-135M, 2 cores, one sequence: 21 tokens/s against 19 in
    # bfloat16, prompts 740 against 550) and because some virtual machines advertise bfloat16 tile instructions
    # that they then refuse, which kills the process. GPU: bfloat16, half the memory traffic.
    is_gpu = torch.cuda.is_available()
    return torch.device("cuda" if is_gpu else "cpu"), torch.bfloat16 if is_gpu else torch.float32


def need_of(folder: Path, *, max_prefix_bytes: int) -> int:
    """Bytes of a model in a prepared folder once it is loaded, with all it may recall of prompts.

    By the headers of its files: no weight is read. A base rounded to 4 bits needs as much as a plain one, since it is
    kept unpacked.
    """
    _, dtype = device_and_dtype()
    num_weights = sum(count for path in folder.glob("model*.safetensors") for count in _tensor_sizes(path))
    return num_weights * dtype.itemsize + max_prefix_bytes


def budget_of(settings: Settings) -> int:
    """Bytes that all base models may take, as the settings say or as this machine allows."""
    if settings.max_base_model_bytes:
        return settings.max_base_model_bytes
    device, _ = device_and_dtype()
    if device.type == "cuda":
        share, total = _SHARE["cuda"], torch.cuda.get_device_properties(device).total_memory
        if settings.base_models_of_vllm:
            share -= settings.vllm_gpu_memory
    else:
        share, total = _SHARE["cpu"], memory.total_bytes()
    return _beside_adapters(total, share, max_adapter_bytes=settings.max_adapter_bytes)


def _beside_adapters(total_bytes: int, share: float, *, max_adapter_bytes: int) -> int:
    least = min(share, _LEAST_SHARE) if share > 0 else _LEAST_SHARE / 2
    return max(int(total_bytes * share) - max_adapter_bytes, int(total_bytes * least))


def _tensor_sizes(path: Path) -> Iterator[int]:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no mapping
            yield math.prod(file.get_slice(name).get_shape())
