"""How long a run takes and what it holds in memory: the arithmetic, corrected by what runs here have measured."""

import math

from pydantic import BaseModel as Model
from pydantic import ConfigDict

from core.base_models.types import BaseModel
from core.training.history import Calibration
from core.training.memory import Memory
from core.training.recipes import DatasetStats, plan_steps, shape_of
from core.training.spec import ExecutionPlan, TrainingSpec
from core.training.throughput import FORWARD_SHARE, tokens_per_s


class RunEstimate(Model):
    """Seconds are of the whole run with its start; `work_seconds`, which alone are paid for, are without it."""

    model_config = ConfigDict(frozen=True)

    total_tokens: int
    seconds: float
    seconds_low: float
    seconds_high: float
    work_seconds: float
    work_seconds_low: float
    work_seconds_high: float
    num_steps: int
    peak_memory_bytes: int
    tokens_per_second: float
    sequence_tokens: float
    step_tokens: float


_START_S, _START_GPU_S = 12.0, 30.0
# a large model is read from the disk first
_LOAD_BYTES_PER_S = 1.0e9


def forecast(
    spec: TrainingSpec,
    stats: DatasetStats,
    base: BaseModel,
    *,
    execution: ExecutionPlan,
    memory: Memory,
    hardware: str,
    calibration: Calibration,
) -> RunEstimate:
    """What a run will take: loading, measuring the base, training, measuring along the way and at the end."""
    shape = shape_of(spec, stats)
    num_steps, total_tokens = plan_steps(spec, shape)
    step_tokens = spec.batch_size * shape.example_tokens
    speed = tokens_per_s(
        spec,
        base,
        execution,
        hardware=hardware,
        tokens=execution.micro_batch_tokens or 1,
        mean_tokens=shape.sequence_tokens,
        step_tokens=step_tokens,
    )
    heldout_tokens = min(stats.num_heldout, spec.max_heldout_rows) * shape.example_tokens
    evaluation_s = FORWARD_SHARE * heldout_tokens / speed

    def work_s(steps: int) -> float:
        """With the base measured first, then along the way and at the end."""
        num_measured = 1 + math.ceil(steps / (spec.eval_every_steps or steps))
        return total_tokens * steps / num_steps / speed + num_measured * evaluation_s

    start_s = _start_s(base, is_gpu=hardware.startswith("gpu"))
    work, earliest = work_s(num_steps), work_s(_earliest_end(spec, num_steps))
    low, likely, high = calibration.seconds_low, calibration.seconds, calibration.seconds_high
    return RunEstimate(
        total_tokens=total_tokens,
        seconds=start_s + work * likely,
        seconds_low=start_s + earliest * low,
        seconds_high=start_s + work * high,
        work_seconds=work * likely,
        work_seconds_low=earliest * low,
        work_seconds_high=work * high,
        num_steps=num_steps,
        peak_memory_bytes=int(memory.peak_bytes * calibration.memory),
        tokens_per_second=speed / likely,
        sequence_tokens=shape.sequence_tokens,
        step_tokens=step_tokens,
    )


def _earliest_end(spec: TrainingSpec, num_steps: int) -> int:
    """The step at which early stopping may end the run: the first measurement is the best, and it is waited in vain."""
    patience, every = spec.early_stopping_patience, spec.eval_every_steps
    return num_steps if patience is None or every is None else min(num_steps, (patience + 1) * every)


def _start_s(base: BaseModel, *, is_gpu: bool) -> float:
    return (_START_GPU_S if is_gpu else _START_S) + 2 * base.num_parameters / _LOAD_BYTES_PER_S
