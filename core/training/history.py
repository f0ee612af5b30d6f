"""What finished runs of this installation say about the next one: how much faster or larger than the arithmetic has it.

Ratios are multiplied, so everything here is done with their logarithms. With `n` past ratios x_1..x_n the next one is
expected at their median, and between its 10th and 90th percentile by the predictive Student-t of a normal variable
whose spread is known from `_PRIOR_RUNS` runs before the first (a normal-inverse-gamma prior): a wide interval for one
run, a narrow one for many that agree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal, Self

from pydantic import ValidationError

from core.base_models.types import BaseModel
from core.training.methods import FullMethod, quantization_of
from core.training.spec import ExecutionPlan, TrainingSpec
from core.training.throughput import tokens_per_s

# two cores may be shared or of an older kind: half to nearly three times the time was seen on the same work
_UNKNOWN_LOW, _UNKNOWN_HIGH = 0.5, 2.5
_PRIOR_RUNS = 2
# spread of runs alike on one machine, and of runs of other models and methods on it
_OWN_SPREAD, _OTHER_SPREAD = 0.2, 0.35
_Z90 = 1.2816
# memory is corrected upwards only, and not by more than a mistake in the formula could be
_MAX_MEMORY_FACTOR = 1.3
# what `results` counts of a card is what the allocator holds: the rest of the runtime is not in it
_CUDA_CONTEXT_BYTES = 500_000_000


@dataclass(frozen=True, slots=True)
class PastRun:
    """A finished run, as it was planned and as it went."""

    base_model: str
    hardware: str
    spec: TrainingSpec
    execution: ExecutionPlan
    estimate: dict[str, Any]
    results: dict[str, Any]

    @classmethod
    def read(cls, *, base_model: str, hardware: str, spec: object, estimate: object, results: object) -> Self | None:
        """None for a run whose documents are of an older form: it says nothing of a new one."""
        if not isinstance(estimate, dict) or not isinstance(results, dict):
            return None
        try:
            return cls(
                base_model=base_model,
                hardware=hardware,
                spec=TrainingSpec.model_validate(spec),
                execution=ExecutionPlan.model_validate(estimate.get("execution") or {}),
                estimate=estimate,
                results=results,
            )
        except ValidationError:
            return None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Factors on what the arithmetic says: on seconds low, likely and high, and on bytes."""

    seconds_low: float = _UNKNOWN_LOW
    seconds: float = 1.0
    seconds_high: float = _UNKNOWN_HIGH
    memory: float = 1.0
    source: Literal["catalogue", "other_runs", "own_runs"] = "catalogue"
    """Nothing measured; runs of other models or methods on this hardware; runs like this one."""
    num_runs: int = 0


def calibrate(
    past: Sequence[PastRun], *, spec: TrainingSpec, base: BaseModel, bases: dict[str, BaseModel], hardware: str
) -> Calibration:
    """`past` are finished runs on this hardware, newest first; `bases` the models that they tuned."""
    same = [run for run in past if run.hardware == hardware]
    alike = [run for run in same if run.base_model == base.id and _family(run.spec) == _family(spec)]
    own, others = _slownesses(alike, bases), _slownesses(same, bases)
    ratios, spread = (own, _OWN_SPREAD) if own else (others, _OTHER_SPREAD)
    memory = _memory_factor(alike)
    if not ratios:
        return Calibration(memory=memory)
    middle, width = median(ratios), _half_width(ratios, spread)
    return Calibration(
        seconds_low=math.exp(middle - width),
        seconds=math.exp(middle),
        seconds_high=math.exp(middle + width),
        memory=memory,
        source="own_runs" if own else "other_runs",
        num_runs=len(ratios),
    )


def _family(spec: TrainingSpec) -> tuple[str, object, bool]:
    """Runs of one family do the same work a token, but for what the arithmetic knows of."""
    return spec.objective.type, quantization_of(spec.method), isinstance(spec.method, FullMethod)


def _slownesses(past: Sequence[PastRun], bases: dict[str, BaseModel]) -> list[float]:
    """Logarithms of: seconds a token that a run took over those that the arithmetic has for it."""
    found = []
    for run in past:
        base, measured = bases.get(run.base_model), run.results.get("tokens_per_second")
        if base is None or not isinstance(measured, int | float) or measured <= 0:
            continue
        mean_tokens = float(run.estimate.get("sequence_tokens") or 1.0)
        predicted = tokens_per_s(
            run.spec,
            base,
            run.execution,
            hardware=run.hardware,
            tokens=run.execution.micro_batch_tokens or 1,
            mean_tokens=mean_tokens,
            step_tokens=float(run.estimate.get("step_tokens") or run.execution.micro_batch_tokens or 1),
        )
        found.append(math.log(predicted / measured))
    return found


def _memory_factor(past: Sequence[PastRun]) -> float:
    """The largest excess over the prediction that was seen."""
    factors = [1.0]
    for run in past:
        measured, memory = run.results.get("peak_memory_bytes"), run.estimate.get("memory")
        if not isinstance(measured, int | float) or not isinstance(memory, dict):
            continue
        predicted = sum(value for value in memory.values() if isinstance(value, int | float))
        if run.hardware.startswith("gpu"):
            predicted -= _CUDA_CONTEXT_BYTES
        if predicted > 0:
            factors.append(measured / predicted)
    return min(max(factors), _MAX_MEMORY_FACTOR)


def _half_width(logs: Sequence[float], prior_spread: float) -> float:
    middle = median(logs)
    freedom = _PRIOR_RUNS + len(logs) - 1
    squares = _PRIOR_RUNS * prior_spread**2 + sum((value - middle) ** 2 for value in logs)
    return _t90(freedom) * math.sqrt(squares / freedom) * math.sqrt(1 + 1 / len(logs))


def _t90(freedom: int) -> float:
    """The 90th percentile of Student's t: Cornish-Fisher to the second order, right to 2 % from 2 degrees on."""
    z = _Z90
    first = (z**3 + z) / (4 * freedom)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + first + second
