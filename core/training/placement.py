"""How a machine does a run: every way that its memory allows is thought through, and the quickest is taken.

A way is a base kept whole or in 4 bits, a size of micro-batch, gradient checkpointing or not, a number of processes.
Where memory allows, a whole base is quicker than one that is unpacked at every use; larger micro-batches make that cost
small (performance figures: 29 % at 512 tokens of an 8B model, 4 % at 4,096).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import BaseModel as Model
from pydantic import ConfigDict

from core.base_models.types import BaseModel
from core.training import gpus
from core.training.memory import Memory, predict
from core.training.methods import FullMethod, Method, PissaMethod, quantization_of
from core.training.recipes import Shape, micro_batch_tokens
from core.training.spec import ExecutionPlan, TrainingSpec
from core.training.throughput import tokens_per_s

# of micro-batches on a card, largest first; a longer example makes its own
_GPU_TOKENS: Final = (16_384, 8_192, 4_096, 2_048, 1_024, 512)
_CPU_TOKENS: Final = (512, 256, 128)
_MULTIPLE = 64
# a whole base is preferred to one in 4 bits, which also learns from rounded weights, while it is about as quick
_ABOUT_AS_QUICK = 0.9
# of a step, what each of several processes should have to do: less is paid for twice and saves little
_PROCESS_TOKENS = 2_048
# of a processor's memory, other programs have their part
_CPU_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Machine:
    """What one worker offers. `memory_bytes` is of one device, and None where nobody has told."""

    hardware: str
    memory_bytes: int | None = None
    num_devices: int = 1

    @property
    def is_gpu(self) -> bool:
        return self.hardware.startswith("gpu")

    @property
    def usable_bytes(self) -> float:
        if self.memory_bytes is None:
            return float("inf")
        return self.memory_bytes if self.is_gpu else self.memory_bytes * _CPU_SHARE


@dataclass(frozen=True, slots=True)
class Placement:
    """One way to do a run on a machine, with what it needs and how fast it is thought to be."""

    method: Method
    execution: ExecutionPlan
    memory: Memory
    tokens_per_s: float


class GpuFit(Model):
    """Whether a run fits on one GPU of a kind, in the best way that there is for it."""

    model_config = ConfigDict(frozen=True)

    gpu: str
    memory_bytes: int
    fits: bool
    peak_memory_bytes: int
    """Predicted; of the smallest way if none fits."""
    method: str
    quantization: str | None


def best(
    spec: TrainingSpec,
    methods: Sequence[Method],
    base: BaseModel,
    machine: Machine,
    shape: Shape,
    *,
    memory_factor: float = 1.0,
) -> Placement | None:
    """The quickest way that fits with the margin; of equally quick ones the one with less of everything. None if none.

    `methods` are the ways of keeping the base that are allowed, the preferred one first: it is taken if it is about as
    quick.
    """
    fitting = [
        placed
        for placed in _ways(spec, methods, base, machine, shape)
        if placed.memory.fits(int(min(machine.usable_bytes, 2**62) / memory_factor))
    ]
    # spreading the base over cards is for what fits on none
    whole = [placed for placed in fitting if placed.execution.sharding == "none"]
    fitting = whole or fitting
    quickest = max((placed.tokens_per_s for placed in fitting), default=0.0)
    good = [placed for placed in fitting if placed.tokens_per_s >= _ABOUT_AS_QUICK * quickest]
    preferred = min((methods.index(placed.method) for placed in good), default=0)
    kept = [placed for placed in good if placed.method == methods[preferred]]
    return max(kept, key=lambda placed: placed.tokens_per_s, default=None)


def smallest(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, shape: Shape
) -> Placement:
    """The way that needs the least memory, whether it fits or not."""
    return min(_ways(spec, methods, base, machine, shape), key=lambda placed: placed.memory.peak_bytes)


def fits_on(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, shape: Shape, *, memory_factor: float = 1.0
) -> list[GpuFit]:
    """One GPU of each size that is sold, smallest first."""
    found = []
    for gpu in gpus.SIZES:
        machine = Machine(gpu.key, gpu.memory_bytes)
        placed = best(spec, methods, base, machine, shape, memory_factor=memory_factor)
        shown = placed or smallest(spec, methods, base, machine, shape)
        found.append(
            GpuFit(
                gpu=gpu.name,
                memory_bytes=gpu.memory_bytes,
                fits=placed is not None,
                peak_memory_bytes=int(shown.memory.peak_bytes * memory_factor),
                method=shown.method.type,
                quantization=quantization_of(shown.method),
            )
        )
    return found


def _ways(
    spec: TrainingSpec, methods: Sequence[Method], base: BaseModel, machine: Machine, shape: Shape
) -> Iterator[Placement]:
    """Preferred ones first: a whole base, nothing computed twice, one process, the larger micro-batch."""
    step_tokens = spec.batch_size * shape.example_tokens
    for method in methods:
        varied = spec.model_copy(update={"method": method})
        can_spread = not isinstance(method, FullMethod | PissaMethod)
        for execution in _executions(machine, shape, step_tokens, can_spread=can_spread):
            tokens = max(execution.micro_batch_tokens or 1, shape.longest_example_tokens)
            yield Placement(
                method=method,
                execution=execution,
                memory=predict(
                    varied,
                    base,
                    execution,
                    is_gpu=machine.is_gpu,
                    tokens=tokens,
                    mean_tokens=shape.sequence_tokens,
                ),
                tokens_per_s=tokens_per_s(
                    varied,
                    base,
                    execution,
                    hardware=machine.hardware,
                    tokens=tokens,
                    mean_tokens=shape.sequence_tokens,
                    step_tokens=step_tokens,
                ),
            )


def _executions(machine: Machine, shape: Shape, step_tokens: float, *, can_spread: bool) -> Iterator[ExecutionPlan]:
    """A base that changes cannot be spread over several devices (`worker.training.sharding`)."""
    for is_checkpointed in (False, True):
        for num_processes, sharding in _spreads(machine, step_tokens, can_spread=can_spread):
            for tokens in _sizes(machine, shape, step_tokens):
                yield ExecutionPlan(
                    micro_batch_tokens=tokens,
                    gradient_checkpointing=is_checkpointed,
                    num_processes=num_processes,
                    sharding=sharding,
                )


def _spreads(
    machine: Machine, step_tokens: float, *, can_spread: bool
) -> Iterator[tuple[int, Literal["none", "full"]]]:
    yield 1, "none"
    if not machine.is_gpu:
        return
    for count in _counts(machine):
        if step_tokens >= count * _PROCESS_TOKENS:
            yield count, "none"
    for count in _counts(machine) if can_spread else ():
        yield count, "full"


def _counts(machine: Machine) -> list[int]:
    return [count for count in (2, 4, 8, 16) if count <= machine.num_devices]


def _sizes(machine: Machine, shape: Shape, step_tokens: float) -> Iterable[int]:
    """No larger than a whole step, and no smaller than the longest example."""
    if not machine.is_gpu:
        usual = micro_batch_tokens("cpu")
        return [size for size in _CPU_TOKENS if size >= shape.longest_example_tokens] or [usual]
    least = _rounded(shape.longest_example_tokens)
    most = max(least, _rounded(step_tokens))
    # also a whole step, and its equal parts for several devices
    parts = [_rounded(step_tokens / count) for count in (1, *_counts(machine))]
    sizes = {size for size in (*_GPU_TOKENS, *parts, most) if least < size <= min(most, _GPU_TOKENS[0])}
    return [*sorted(sizes, reverse=True), least]


def _rounded(tokens: float) -> int:
    return -(-int(tokens + 0.999) // _MULTIPLE) * _MULTIPLE
