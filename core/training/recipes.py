"""From "fast, balanced or best" and the shape of the data to a full spec, and what that will cost in time and memory.

Pure arithmetic. Every number is shown on the run; each rule says where it comes from.
"""

import math
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from core.errors import Invalid
from core.training.methods import LoraMethod, QloraMethod
from core.training.spec import TrainingSpec


class Recipe(StrEnum):
    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class DatasetStats(_Value):
    """Counts of a dataset version; tokens include the chat template's own."""

    num_train: int
    num_heldout: int
    num_tokens: int
    max_row_tokens: int
    p99_row_tokens: int


class BaseModelInfo(_Value):
    id: str
    num_parameters: int
    context_tokens: int
    num_layers: int
    hidden_size: int


class RunEstimate(_Value):
    total_tokens: int
    seconds: float
    seconds_low: float
    seconds_high: float
    num_steps: int
    peak_memory_bytes: int


# A first look must be ready while one waits. On a processor `fast` sees at most this many tokens: three to four
# minutes for a 135M model on two idle cores (270 tokens a second). Short classification rows learn their form in the
# first 10,000 tokens and their sense later: 32,000 left the held-out loss at 0.53, 45,000 at 0.35. No cap on a card.
_FAST_CPU_MAX_TOKENS = 50_000
# Two measurements of 100 short rows take about 25 s of that time, and tell a clear gain from none.
_FAST_CPU_MAX_HELDOUT_ROWS = 100
# OpenAI's published rule aims at 3 epochs: more over few rows (at least 100 seen), fewer over many (at most 25,000).
_TARGET_EPOCHS = {Recipe.FAST: 1, Recipe.BALANCED: 3, Recipe.BEST: 5}
_MIN_SEEN_ROWS, _MAX_SEEN_ROWS, _MAX_EPOCHS = 100, 25_000, 10
# LoRA's best rate hardly depends on the rank and is about ten times that of full tuning ("LoRA Without Regret", 2025).
# Below a hundred steps more pays (15 times), and a small model bears it: SmolLM2-135M's loss falls at once at 1e-3.
_LARGE_MODEL_LEARNING_RATE, _SMALL_MODEL_LEARNING_RATE = 2e-4, 1e-3
_SMALL_MODEL_PARAMETERS = 500_000_000
_RANK = {Recipe.FAST: 16, Recipe.BALANCED: 16, Recipe.BEST: 32}
# LoRA bears large batches worse than full tuning, hence at most 32; a fiftieth of the rows gives 50 steps an epoch.
_MIN_BATCH, _MAX_BATCH, _STEPS_PER_EPOCH = 4, 32, 50
_LENGTH_MULTIPLE, _MIN_LENGTH = 64, 128
_MAX_HELDOUT_ROWS = 200
# Measured along the way as well: people see it fall on examples not learned from, and the best state is what ships.
_MEASURES_ALONG = {Recipe.FAST: 1, Recipe.BALANCED: 7, Recipe.BEST: 7}


def resolve(
    recipe: Recipe,
    stats: DatasetStats,
    base: BaseModelInfo,
    hardware: str,
    overrides: dict[str, Any] | None = None,
) -> TrainingSpec:
    """The spec that a recipe means for this data, this model and this hardware ("cpu", "gpu:h100", ...).

    `overrides` speaks OpenAI's words (`n_epochs`, `batch_size`, `learning_rate_multiplier`, each a number or "auto") or
    the spec's own field names (`method`, `seed`, `learning_rate`...). Raises Invalid for a word it does not know.
    """
    rank = _RANK[recipe]
    num_epochs = _num_epochs(recipe, stats.num_train)
    is_hurried = recipe is Recipe.FAST and hardware == "cpu"
    values: dict[str, Any] = {
        "base_model": base.id,
        "method": QloraMethod(rank=rank, alpha=2 * rank),
        "num_epochs": num_epochs,
        "max_seen_tokens": _FAST_CPU_MAX_TOKENS if is_hurried else None,
        "max_heldout_rows": _FAST_CPU_MAX_HELDOUT_ROWS if is_hurried else _MAX_HELDOUT_ROWS,
        "learning_rate": _learning_rate(base),
        "batch_size": _batch_size(stats, max_tokens=_FAST_CPU_MAX_TOKENS if is_hurried else None),
        "max_length_tokens": _max_length(stats, base),
        "warmup_ratio": 0.05,
        "schedule": "cosine",
    }
    values.update(_from_openai(dict(overrides or {}), values))
    spec = TrainingSpec.model_validate(values)
    if spec.eval_every_steps is not None:
        return spec
    num_steps, _ = plan_steps(spec, num_train=stats.num_train, row_tokens=_mean_row_tokens(stats))
    return spec.model_copy(update={"eval_every_steps": math.ceil(num_steps / (_MEASURES_ALONG[recipe] + 1))})


def _num_epochs(recipe: Recipe, num_train: int) -> int:
    target = _TARGET_EPOCHS[recipe]
    rows = max(1, num_train)
    if rows * target < _MIN_SEEN_ROWS:
        return min(_MAX_EPOCHS, math.ceil(_MIN_SEEN_ROWS / rows))
    return max(1, min(target, _MAX_SEEN_ROWS // rows))


def _batch_size(stats: DatasetStats, *, max_tokens: int | None) -> int:
    rows = stats.num_train
    if max_tokens is not None:
        rows = min(rows, int(max_tokens / _mean_row_tokens(stats)))
    return min(_MAX_BATCH, max(_MIN_BATCH, rows // _STEPS_PER_EPOCH))


def _mean_row_tokens(stats: DatasetStats) -> float:
    return max(1.0, stats.num_tokens / max(1, stats.num_train + stats.num_heldout))


def _learning_rate(base: BaseModelInfo) -> float:
    return _SMALL_MODEL_LEARNING_RATE if base.num_parameters < _SMALL_MODEL_PARAMETERS else _LARGE_MODEL_LEARNING_RATE


def _max_length(stats: DatasetStats, base: BaseModelInfo) -> int:
    """99 of 100 rows fit whole; the few giants that are cut would otherwise decide the memory of all."""
    rounded = math.ceil(max(stats.p99_row_tokens, _MIN_LENGTH) / _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    return min(rounded, base.context_tokens)


def _from_openai(overrides: dict[str, Any], resolved: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word, value in overrides.items():
        if value is None or value == "auto":
            continue
        if word == "n_epochs":
            found |= {"num_epochs": value, "max_seen_tokens": None}  # epochs asked for are epochs given
        elif word == "learning_rate_multiplier":
            found["learning_rate"] = resolved["learning_rate"] * value
        elif word in TrainingSpec.model_fields:
            found[word] = value
        else:
            raise Invalid(f"There is no setting named '{word}'.", code="unknown_hyperparameter", param=word)
    return found


# Useful arithmetic a second while training (4 floating-point operations per parameter and token). Processor: measured,
# QLoRA on SmolLM2-135M at 200-320 tokens a second on two cores. Cards: a quarter of their peak, not yet measured here.
_TRAINING_FLOPS = {
    "cpu": 1.35e11,
    "gpu:a100-40gb": 9.0e13,
    "gpu:a100-80gb": 9.0e13,
    "gpu:h100": 2.5e14,
    "gpu:h200": 2.5e14,
}
_FLOPS_PER_PARAMETER_AND_TOKEN = 4
_FALLBACK_GPU_FLOPS = 3.0e13
# Held-out rows are measured twice, forward only: two thirds less work a token than training.
_EVALUATIONS, _FORWARD_SHARE = 2, 0.4
_START_S = {"cpu": 12.0}
_START_GPU_S = 30.0
# Two cores may be shared or of an older kind: half to nearly three times the time was seen on the same work.
_LOW_FACTOR, _HIGH_FACTOR = 0.5, 2.5


def default_throughput(base: BaseModelInfo, *, hardware: str) -> float:
    """Tokens a second while training, until this installation has measured its own."""
    flops = _TRAINING_FLOPS.get(hardware, _FALLBACK_GPU_FLOPS)
    return flops / (_FLOPS_PER_PARAMETER_AND_TOKEN * base.num_parameters)


def estimate(
    spec: TrainingSpec,
    stats: DatasetStats,
    base: BaseModelInfo,
    throughput_tokens_per_s: float,
    *,
    hardware: str = "cpu",
) -> RunEstimate:
    """What a run will take: loading, measuring the base, training, measuring the result."""
    row_tokens = min(_mean_row_tokens(stats), spec.max_length_tokens)
    num_steps, total_tokens = plan_steps(spec, num_train=stats.num_train, row_tokens=row_tokens)
    heldout_tokens = min(stats.num_heldout, spec.max_heldout_rows) * row_tokens
    evaluations = _EVALUATIONS + (num_steps // spec.eval_every_steps if spec.eval_every_steps else 0)
    work = total_tokens + evaluations * _FORWARD_SHARE * heldout_tokens
    start_s = _START_S.get(hardware, _START_GPU_S)
    training_s = work / throughput_tokens_per_s
    return RunEstimate(
        total_tokens=total_tokens,
        seconds=start_s + training_s,
        seconds_low=start_s + training_s * _LOW_FACTOR,
        seconds_high=start_s + training_s * _HIGH_FACTOR,
        num_steps=num_steps,
        peak_memory_bytes=peak_memory_bytes(spec, base, hardware=hardware),
    )


def plan_steps(spec: TrainingSpec, *, num_train: int, row_tokens: float) -> tuple[int, int]:
    """(optimizer steps, tokens seen) for rows of a mean length."""
    steps_per_epoch = math.ceil(num_train / spec.batch_size)
    num_steps = steps_per_epoch * spec.num_epochs
    tokens = int(num_train * spec.num_epochs * row_tokens)
    if spec.max_seen_tokens is not None and tokens > spec.max_seen_tokens:
        num_steps = math.ceil(spec.max_seen_tokens / (spec.batch_size * row_tokens))
        tokens = int(num_steps * spec.batch_size * row_tokens)
    return num_steps, tokens


_FOUR_BIT_BYTES = 4.127 / 8  # NF4 with double quantisation: 4 bits + scales (QLoRA paper, section 3)
_HALF_BYTES = 2
_EMBEDDING_SHARE_SMALL, _EMBEDDING_SHARE_LARGE = 0.21, 0.08
_ADAPTER_BYTES = 16  # float32 weight + gradient + two Adam moments
_ACTIVATION_BYTES_PER_TOKEN_AND_PARAMETER = 0.028  # SmolLM2-135M in float32: 1.9 GB more at 512 more tokens
_LINEAR_WIDTHS = 18.6
_RUNTIME_BYTES = 900_000_000  # interpreter, torch, kernels


def peak_memory_bytes(spec: TrainingSpec, base: BaseModelInfo, *, hardware: str) -> int:
    """Weights + adapter and optimizer + activations of one packed micro-batch + the runtime itself."""
    small = base.num_parameters < _SMALL_MODEL_PARAMETERS
    embeddings = base.num_parameters * (_EMBEDDING_SHARE_SMALL if small else _EMBEDDING_SHARE_LARGE)
    linear_bytes = _FOUR_BIT_BYTES if isinstance(spec.method, QloraMethod) else _HALF_BYTES
    weights = embeddings * _HALF_BYTES + (base.num_parameters - embeddings) * linear_bytes
    adapter = num_adapter_parameters(spec.method, base) * _ADAPTER_BYTES
    tokens = max(micro_batch_tokens("cuda" if hardware.startswith("gpu") else "cpu"), spec.max_length_tokens)
    activations = tokens * base.num_parameters * _ACTIVATION_BYTES_PER_TOKEN_AND_PARAMETER
    return int(weights + adapter + activations + _RUNTIME_BYTES)


def num_adapter_parameters(method: LoraMethod | QloraMethod, base: BaseModelInfo) -> int:
    """Rank x (inputs + outputs) over the seven linear layers of a block: 18.6 hidden sizes, give or take a tenth."""
    return int(method.rank * _LINEAR_WIDTHS * base.hidden_size * base.num_layers)


def micro_batch_tokens(device: Literal["cpu", "cuda"]) -> int:
    """Tokens of one packed micro-batch.

    On a processor 512 hide the unpacking of 4-bit weights, and twice that only doubled the memory; a card, being
    faster, needs 4,096.
    """
    return 512 if device == "cpu" else 4096
