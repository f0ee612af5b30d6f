"""What to say of a run that no hardware here can hold: how much is missing, and each change that would make it fit."""

from collections.abc import Sequence
from typing import Any

from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.errors import Invalid
from core.training.memory import MARGIN
from core.training.methods import FullMethod, LoraMethod, Method, PissaMethod, QloraMethod, quantization_of
from core.training.placement import GpuFit, Machine, best, fits_on, smallest
from core.training.recipes import DatasetStats, shape_of
from core.training.spec import TrainingSpec

_SHORTEST = 128


def does_not_fit(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, stats: DatasetStats
) -> Invalid:
    """The refusal. Every change that it names was tried and does fit."""
    shape = shape_of(spec, stats)
    needed = smallest(spec, methods, base, machine, shape).memory.peak_bytes * MARGIN
    fits = fits_on(spec, methods, base, shape)
    changes = [
        *_four_bits(spec, methods, base, machine, stats),
        *_shorter(spec, methods, base, machine, stats),
        *_smaller_model(spec, methods, base, machine, stats),
    ]
    gpu = next((fit for fit in fits if fit.fits), None)
    ways = [str(change["sentence"]) for change in changes]
    if gpu is not None:
        ways.append(f"a GPU with at least {gigabytes(gpu.memory_bytes)}, such as {gpu.gpu}")
    have = gigabytes(machine.usable_bytes) if machine.memory_bytes else "less"
    device = "GPU" if machine.is_gpu else "processor"
    return Invalid(
        f"{base.name} does not fit: this run needs about {gigabytes(needed)} and the {device} that is here has {have}. "
        + (f"What would fit: {'; '.join(ways)}." if ways else "No GPU that we know of holds it by itself."),
        code="does_not_fit",
        param="model",
        details={
            "needed_bytes": int(needed),
            "available_bytes": machine.memory_bytes,
            "hardware": machine.hardware,
            "changes": [change["change"] for change in changes],
            "fits_on": [fit.model_dump() for fit in fits],
        },
    )


def gigabytes(count: float) -> str:
    """As GPUs are sold: 80 GB are 80 times 1024 cubed, less what the driver keeps."""
    return f"{count / 2**30:,.0f} GB" if count >= 10 * 2**30 else f"{count / 2**30:.1f} GB"


def _four_bits(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, stats: DatasetStats
) -> list[dict[str, Any]]:
    if any(quantization_of(method) == "nf4" for method in methods):
        return []
    method = methods[0]
    rank, alpha = (method.rank, method.alpha) if isinstance(method, LoraMethod | PissaMethod) else (16, 32)
    found = []
    if isinstance(method, FullMethod) and best(spec, [LoraMethod()], base, machine, shape_of(spec, stats)):
        found.append(_change("LoRA instead of every weight (adapter.type 'lora')", {"adapter.type": "lora"}))
    if best(spec, [QloraMethod(rank=rank, alpha=alpha)], base, machine, shape_of(spec, stats)):
        found.append(_change("the base model in 4 bits (adapter.type 'qlora')", {"adapter.type": "qlora"}))
    return found


def _shorter(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, stats: DatasetStats
) -> list[dict[str, Any]]:
    """The longest of half, a quarter, ... of the length that would do."""
    length = spec.max_length_tokens // 2
    while length >= _SHORTEST:
        shorter = spec.model_copy(update={"max_length_tokens": length})
        if best(shorter, methods, base, machine, shape_of(shorter, stats)):
            sentence = f"examples of at most {length:,} tokens (training.max_length_tokens)"
            return [_change(sentence, {"training.max_length_tokens": length})]
        length //= 2
    return []


def _smaller_model(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, stats: DatasetStats
) -> list[dict[str, Any]]:
    """The largest model of the catalogue that is smaller and would do."""
    smaller = [other for other in base_models.list_base_models() if other.num_parameters < base.num_parameters]
    for other in sorted(smaller, key=lambda model: -model.num_parameters):
        if best(spec, methods, other, machine, shape_of(spec, stats)):
            return [_change(f"a smaller model, such as {other.name}", {"model": other.id})]
    return []


def _change(sentence: str, change: dict[str, Any]) -> dict[str, Any]:
    return {"sentence": sentence, "change": change}


__all__ = ["GpuFit", "does_not_fit", "gigabytes"]
