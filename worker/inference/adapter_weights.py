"""An adapter's tensors, checked against the base model before a single one is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from core.errors import Invalid
from worker.inference.adapter_config import AdapterConfig, LoraConfig, PromptConfig

_PREFIX: Final = "base_model.model."
_DOWN, _UP, _LENGTHS = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"
_PROMPT: Final = "prompt_embeddings"
_DTYPES: Final = frozenset({torch.float32, torch.float16, torch.bfloat16})

Tensors = dict[str, torch.Tensor]


class Base(Protocol):
    """What is asked of the loaded base model."""

    @property
    def linear_shapes(self) -> Mapping[str, tuple[int, int]]:
        """The (out, in) sizes of the layers that may carry an adapter, by name."""

    @property
    def width(self) -> int:
        """Size of an embedding."""

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    def weight(self, name: str) -> torch.Tensor:
        """The (out, in) weight that a layer computes with."""


@dataclass(frozen=True, slots=True)
class LoraPair:
    """`down` is (rank, in); `up` is (out, rank) with the scaling already in it.

    `stretch` (out), in float32, multiplies what base and pair give together: DoRA's learned lengths over the lengths
    that the weights have by themselves.
    """

    down: torch.Tensor
    up: torch.Tensor
    stretch: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class AdapterWeights:
    """Pairs by the name of their layer, or a `prompt` (virtual tokens, width) that is read before everything else."""

    digest: str
    pairs: Mapping[str, LoraPair]
    num_bytes: int
    prompt: torch.Tensor | None = None

    @property
    def num_virtual_tokens(self) -> int:
        return 0 if self.prompt is None else len(self.prompt)


def read_adapter_weights(content: bytes, config: AdapterConfig, *, digest: str, base: Base) -> AdapterWeights:
    """Parse safetensors and check names, shapes, types and values. Raises `Invalid` (code `adapter_invalid`)."""
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused("its weights are not a safetensors file") from error
    match config:
        case LoraConfig():
            return _read_pairs(tensors, config, digest=digest, base=base)
        case PromptConfig():
            return _read_prompt(tensors, config, digest=digest, base=base)
        case _:
            assert_never(config)


def _read_pairs(tensors: Tensors, config: LoraConfig, *, digest: str, base: Base) -> AdapterWeights:
    targeted = {name for name in base.linear_shapes if config.targets(name)}
    if not targeted:
        raise _refused("none of its layers exists in the base model")
    parts = (_DOWN, _UP, _LENGTHS) if config.has_lengths else (_DOWN, _UP)
    _refuse_other_names(tensors, {f"{_PREFIX}{name}{part}" for name in targeted for part in parts})
    pairs = {}
    for name in targeted:
        out_size, in_size = base.linear_shapes[name]
        down, up = tensors[f"{_PREFIX}{name}{_DOWN}"], tensors[f"{_PREFIX}{name}{_UP}"]
        _check(name, down, (config.rank, in_size))
        _check(name, up, (out_size, config.rank))
        # scaled in float32: the product must not be rounded twice; in place, for nobody else has these tensors
        scaled = up.to(torch.float32).mul_(config.scaling)
        stretch = None
        if config.has_lengths:
            lengths = tensors[f"{_PREFIX}{name}{_LENGTHS}"]
            _check(name, lengths, (out_size,))
            stretch = _stretch(lengths, base.weight(name), down, scaled)
        pairs[name] = LoraPair(
            down=down.to(base.device, base.dtype), up=scaled.to(base.device, base.dtype), stretch=stretch
        )
    num_bytes = sum(pair.down.nbytes + pair.up.nbytes for pair in pairs.values())
    num_bytes += sum(pair.stretch.nbytes for pair in pairs.values() if pair.stretch is not None)
    return AdapterWeights(digest=digest, pairs=pairs, num_bytes=num_bytes)


@torch.no_grad()
def _stretch(lengths: torch.Tensor, weight: torch.Tensor, down: torch.Tensor, scaled_up: torch.Tensor) -> torch.Tensor:
    """DoRA (Liu et al. 2024): m / |W + s B A|, by rows; a constant once the adapter is trained."""
    device = weight.device
    merged = weight.to(torch.float32) + scaled_up.to(device) @ down.to(device, torch.float32)
    return torch.div(lengths.to(device, torch.float32), torch.linalg.vector_norm(merged, dim=1))


def _read_prompt(tensors: Tensors, config: PromptConfig, *, digest: str, base: Base) -> AdapterWeights:
    _refuse_other_names(tensors, {_PROMPT})
    if config.width != base.width:
        raise _refused(f"its vectors have {config.width} numbers and the base model's embeddings {base.width}")
    _check(_PROMPT, tensors[_PROMPT], (config.num_virtual_tokens, config.width))
    prompt = tensors[_PROMPT].to(base.device, base.dtype)
    return AdapterWeights(digest=digest, pairs={}, num_bytes=prompt.nbytes, prompt=prompt)


def _refuse_other_names(tensors: Tensors, expected: set[str]) -> None:
    if wrong := sorted(set(tensors) ^ expected):
        kind = "has a tensor that does not belong" if wrong[0] in tensors else "lacks a tensor"
        raise _refused(f"it {kind}: {wrong[0]}")


def _check(name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise _refused(f"{name} has the shape {tuple(tensor.shape)} and the base model needs {shape}")
    if tensor.dtype not in _DTYPES:
        raise _refused(f"{name} has the type {tensor.dtype}")
    if not _is_finite(tensor):
        raise _refused(f"{name} holds values that are not finite")


def _is_finite(tensor: torch.Tensor) -> bool:
    """By the sum, which one value that is not finite spoils: a quarter of the time that looking at each takes."""
    # finite values may have a sum that is not: then each is looked at
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())


def _refused(reason: str) -> Invalid:
    return Invalid(f"This adapter does not fit its base model: {reason}.", code="adapter_invalid", param="model")
