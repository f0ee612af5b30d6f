"""An adapter's tensors, checked against the base model before a single one is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from core.errors import Invalid
from worker.inference.adapter_config import LoraConfig

_PREFIX: Final = "base_model.model."
_PARTS: Final = (".lora_A.weight", ".lora_B.weight")
_DTYPES: Final = frozenset({torch.float32, torch.float16, torch.bfloat16})


@dataclass(frozen=True, slots=True)
class LoraPair:
    """`down` is (rank, in); `up` is (out, rank) with the scaling already in it."""

    down: torch.Tensor
    up: torch.Tensor


@dataclass(frozen=True, slots=True)
class AdapterWeights:
    digest: str
    pairs: Mapping[str, LoraPair]
    num_bytes: int


def read_adapter_weights(
    content: bytes,
    config: LoraConfig,
    *,
    digest: str,
    linear_shapes: Mapping[str, tuple[int, int]],
    dtype: torch.dtype,
    device: torch.device,
) -> AdapterWeights:
    """Parse safetensors and check names, shapes, types and values. Raises `Invalid` (code `adapter_invalid`).

    `linear_shapes` maps the base model's layers that may carry an adapter to their (out, in) sizes.
    """
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused("its weights are not a safetensors file") from error
    targeted = {name for name in linear_shapes if config.targets(name)}
    if not targeted:
        raise _refused("none of its layers exists in the base model")
    expected = {f"{_PREFIX}{name}{part}" for name in targeted for part in _PARTS}
    if wrong := sorted(set(tensors) ^ expected):
        kind = "has a tensor that does not belong" if wrong[0] in tensors else "lacks a tensor"
        raise _refused(f"it {kind}: {wrong[0]}")
    pairs = {}
    for name in targeted:
        out_size, in_size = linear_shapes[name]
        down, up = (tensors[f"{_PREFIX}{name}{part}"] for part in _PARTS)
        _check(name, down, (config.rank, in_size))
        _check(name, up, (out_size, config.rank))
        # scaled in float32: the product must not be rounded twice
        scaled = up.to(torch.float32) * config.scaling
        pairs[name] = LoraPair(down=down.to(device, dtype), up=scaled.to(device, dtype))
    num_bytes = sum(pair.down.nbytes + pair.up.nbytes for pair in pairs.values())
    return AdapterWeights(digest=digest, pairs=pairs, num_bytes=num_bytes)


def _check(name: str, tensor: torch.Tensor, shape: tuple[int, int]) -> None:
    if tuple(tensor.shape) != shape:
        raise _refused(f"{name} has the shape {tuple(tensor.shape)} and the base model needs {shape}")
    if tensor.dtype not in _DTYPES:
        raise _refused(f"{name} has the type {tensor.dtype}")
    if not bool(torch.isfinite(tensor).all()):
        raise _refused(f"{name} holds values that are not finite")


def _refused(reason: str) -> Invalid:
    return Invalid(f"This adapter does not fit its base model: {reason}.", code="adapter_invalid", param="model")
