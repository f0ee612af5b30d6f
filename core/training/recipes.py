"""From "fast, balanced or best" and the shape of the data to a full spec.

Pure arithmetic. Every number is shown on the run; docs/recipes.md has the rules in a table, each with its source.
"""

import math
import sys
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel as Model
from pydantic import ConfigDict

from core.base_models.types import BaseModel
from core.errors import Invalid
from core.training.method_rules import learning_rate, method_for
from core.training.methods import Method, PromptTuningMethod
from core.training.objectives import (
    ContinuedPretrainingObjective,
    DpoObjective,
    Objective,
    OrpoObjective,
    SftObjective,
)
from core.training.spec import TrainingSpec


class Recipe(StrEnum):
    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class DatasetStats(Model):
    """Counts of a dataset version; tokens include the chat template's own, and both answers of a preference row.

    `max_row_tokens` and `p99_row_tokens` are of a row's longest sequence: what it takes to hold it whole.
    """

    model_config = ConfigDict(frozen=True)

    num_train: int
    num_heldout: int
    num_tokens: int
    max_row_tokens: int
    p99_row_tokens: int


class Shape(Model):
    """The training examples as the trainer will have them, cut to the spec's length. Tokens are means but for one."""

    model_config = ConfigDict(frozen=True)

    num_examples: int
    example_tokens: float
    """All sequences of an example."""
    sequence_tokens: float
    longest_example_tokens: int


# A first look must be ready while one waits. On a processor `fast` sees at most this many tokens: three to four
# minutes for a 135M model on two idle cores (270 tokens a second). Short classification rows learn their form in the
# first 10,000 tokens and their sense later: 32,000 left the held-out loss at 0.53, 45,000 at 0.35.
_FAST_CPU_MAX_TOKENS = 50_000
# Two measurements of 100 short rows take about 25 s of that time, and tell a clear gain from none.
_FAST_CPU_MAX_HELDOUT_ROWS = 100
# OpenAI's published rule aims at 3 epochs: more over few rows (at least 100 seen), fewer over many (at most 25,000).
_TARGET_EPOCHS: Final = {Recipe.FAST: 1, Recipe.BALANCED: 3, Recipe.BEST: 5}
# Pairs are learned by heart sooner: Zephyr's DPO takes 1 to 3 epochs.
_PAIR_EPOCHS: Final = {Recipe.FAST: 1, Recipe.BALANCED: 2, Recipe.BEST: 3}
# Text seen up to four times is worth almost as much as new text (Muennighoff et al. 2023).
_TEXT_EPOCHS: Final = {Recipe.FAST: 1, Recipe.BALANCED: 2, Recipe.BEST: 4}
# A prompt has few numbers and needs many steps (Lester et al. 2021 take 30,000); the best state ships.
_PROMPT_EPOCHS: Final = {Recipe.FAST: 3, Recipe.BALANCED: 8, Recipe.BEST: 15}
_PROMPT_FACTOR = 4
# `balanced` may stop after half its steps, so `fast` sees no more than half as much, of few rows and of very many too.
# It learns from them all the same: two passes over 20 rows took the held-out loss of one set from 4.80 to 0.77 (five
# passes: 0.57), of another from 1.39 to 0.90 (0.99).
_MIN_SEEN_ROWS: Final = {Recipe.FAST: 33, Recipe.BALANCED: 100, Recipe.BEST: 100}
_MAX_SEEN_ROWS, _FAST_MAX_SEEN_ROWS, _MAX_EPOCHS = 25_000, 6_250, 10
# Early curves of rank 16 and 256 are the same ("LoRA Without Regret", 2025): rank is room, and few rows need little.
# New knowledge from plain text needs more of it than a manner of answering ("LoRA Learns Less and Forgets Less", 2024).
_RANK: Final = {Recipe.FAST: 16, Recipe.BALANCED: 16, Recipe.BEST: 32}
_TEXT_RANK: Final = {Recipe.FAST: 32, Recipe.BALANCED: 64, Recipe.BEST: 128}
# LoRA bears large batches worse than full tuning, hence at most 32; a fiftieth of the rows gives 50 steps an epoch.
_MIN_BATCH, _MAX_BATCH, _STEPS_PER_EPOCH = 4, 32, 50
_LENGTH_MULTIPLE, _MIN_LENGTH = 64, 128
# A longer text becomes several examples, so its length is a matter of memory and of how far back a word may look.
_TEXT_LENGTH: Final = {"cpu": 512, "cuda": 2048}
_MAX_HELDOUT_ROWS = 200
# Measured along the way as well: people see it fall on examples not learned from, and the best state is what ships.
_MEASURES_ALONG: Final = {Recipe.FAST: 1, Recipe.BALANCED: 7, Recipe.BEST: 7}
# Three of eight measurements no better than the best: the end of the schedule would rarely make up for it. What is not
# done is not charged.
_PATIENCE: Final = {Recipe.FAST: None, Recipe.BALANCED: 3, Recipe.BEST: 3}
# Zephyr and TRL rise over the first tenth for preferences, where a large first step is not recovered from.
_WARMUP, _PAIR_WARMUP = 0.05, 0.1


def resolve(
    recipe: Recipe,
    stats: DatasetStats,
    base: BaseModel,
    hardware: str,
    overrides: dict[str, Any] | None = None,
    *,
    objective: Objective | None = None,
    method_type: str = "lora",
    adapter: dict[str, Any] | None = None,
) -> TrainingSpec:
    """The spec that a recipe means for this data, this model and this hardware ("cpu", "gpu:h100", ...).

    `overrides` speaks OpenAI's words (`n_epochs`, `batch_size`, `learning_rate_multiplier`, each a number or "auto") or
    the spec's own field names (`seed`, `learning_rate`...); `adapter` has the method's own settings. Raises Invalid for
    a word it does not know, pydantic's ValidationError for a value out of its range.
    """
    objective = objective or SftObjective()
    is_text = isinstance(objective, ContinuedPretrainingObjective)
    is_pairs = isinstance(objective, DpoObjective | OrpoObjective)
    method = method_for(method_type, rank=(_TEXT_RANK if is_text else _RANK)[recipe], asked=adapter or {})
    is_hurried = recipe is Recipe.FAST and not hardware.startswith("gpu")
    max_tokens = _FAST_CPU_MAX_TOKENS if is_hurried else None
    values: dict[str, Any] = {
        "base_model": base.id,
        "method": method,
        "objective": objective,
        "max_length_tokens": _max_length(stats, base, hardware, is_text=is_text),
        "max_seen_tokens": max_tokens,
        "max_heldout_rows": _FAST_CPU_MAX_HELDOUT_ROWS if is_hurried else _MAX_HELDOUT_ROWS,
        "learning_rate": learning_rate(method, objective, base),
        "warmup_ratio": _PAIR_WARMUP if is_pairs else _WARMUP,
        "schedule": "cosine",
        "early_stopping_patience": _PATIENCE[recipe],
    }
    asked = _asked(dict(overrides or {}), values)
    length = asked.get("max_length_tokens", values["max_length_tokens"])
    shape = _shape(stats, objective, max_length=length)
    values["num_epochs"] = _num_epochs(recipe, shape.num_examples, method, objective)
    values["batch_size"] = _batch_size(shape, max_tokens=max_tokens)
    if recipe is Recipe.FAST and not is_text:
        values["max_seen_tokens"] = _part_of_very_many(shape, values["num_epochs"], method, max_tokens)
    spec = TrainingSpec.model_validate(values | asked)
    if spec.eval_every_steps is not None:
        return spec
    num_steps, _ = plan_steps(spec, shape)
    return spec.model_copy(update={"eval_every_steps": math.ceil(num_steps / (_MEASURES_ALONG[recipe] + 1))})


def shape_of(spec: TrainingSpec, stats: DatasetStats) -> Shape:
    return _shape(stats, spec.objective, max_length=spec.max_length_tokens)


def plan_steps(spec: TrainingSpec, shape: Shape) -> tuple[int, int]:
    """(optimizer steps, tokens seen), if nothing stops it early."""
    num_steps = math.ceil(shape.num_examples / spec.batch_size) * spec.num_epochs
    tokens = int(shape.num_examples * spec.num_epochs * shape.example_tokens)
    if spec.max_seen_tokens is not None and tokens > spec.max_seen_tokens:
        num_steps = math.ceil(spec.max_seen_tokens / (spec.batch_size * shape.example_tokens))
        tokens = int(num_steps * spec.batch_size * shape.example_tokens)
    return num_steps, tokens


def micro_batch_tokens(device: Literal["cpu", "cuda"]) -> int:
    """Tokens of one packed micro-batch where nothing else was planned.

    On a processor 512 hide the unpacking of 4-bit weights, and twice that only doubled the memory; a card, being
    faster, needs 4,096.
    """
    return 512 if device == "cpu" else 4096


def _shape(stats: DatasetStats, objective: Objective, *, max_length: int) -> Shape:
    per_example = 2 if isinstance(objective, DpoObjective | OrpoObjective) else 1
    row_tokens = max(1.0, stats.num_tokens / max(1, stats.num_train + stats.num_heldout))
    num_examples = max(1, stats.num_train)
    if isinstance(objective, ContinuedPretrainingObjective):
        # a longer text is cut into several examples
        pieces = max(1.0, row_tokens / max_length)
        num_examples, row_tokens = math.ceil(num_examples * pieces), row_tokens / pieces
    sequence_tokens = min(row_tokens / per_example, max_length)
    longest = min(max(stats.max_row_tokens, math.ceil(sequence_tokens)), max_length)
    return Shape(
        num_examples=num_examples,
        example_tokens=sequence_tokens * per_example,
        sequence_tokens=sequence_tokens,
        longest_example_tokens=longest * per_example,
    )


def _num_epochs(recipe: Recipe, num_examples: int, method: Method, objective: Objective) -> int:
    if isinstance(method, PromptTuningMethod):
        # its own target, and no fewer over many rows than one
        return max(1, min(_PROMPT_EPOCHS[recipe], _PROMPT_FACTOR * _MAX_SEEN_ROWS // num_examples))
    if isinstance(objective, ContinuedPretrainingObjective):
        return _TEXT_EPOCHS[recipe]
    target = (_PAIR_EPOCHS if isinstance(objective, DpoObjective | OrpoObjective) else _TARGET_EPOCHS)[recipe]
    if num_examples * target < _MIN_SEEN_ROWS[recipe]:
        return min(_MAX_EPOCHS, math.ceil(_MIN_SEEN_ROWS[recipe] / num_examples))
    return max(1, min(target, _MAX_SEEN_ROWS // num_examples))


def _part_of_very_many(shape: Shape, num_epochs: int, method: Method, max_tokens: int | None) -> int | None:
    """What `fast` sees at most: rows so many that `balanced` sees them once would take it as long."""
    most = _FAST_MAX_SEEN_ROWS * (_PROMPT_FACTOR if isinstance(method, PromptTuningMethod) else 1)
    if shape.num_examples * num_epochs <= most:
        return max_tokens
    return min(int(most * shape.example_tokens), max_tokens or sys.maxsize)


def _batch_size(shape: Shape, *, max_tokens: int | None) -> int:
    examples = shape.num_examples
    if max_tokens is not None:
        examples = min(examples, int(max_tokens / shape.example_tokens))
    return min(_MAX_BATCH, max(_MIN_BATCH, examples // _STEPS_PER_EPOCH))


def _max_length(stats: DatasetStats, base: BaseModel, hardware: str, *, is_text: bool) -> int:
    """99 of 100 rows fit whole; the few giants that are cut would otherwise decide the memory of all."""
    rounded = math.ceil(max(stats.p99_row_tokens, _MIN_LENGTH) / _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    if is_text:
        rounded = min(rounded, _TEXT_LENGTH["cuda" if hardware.startswith("gpu") else "cpu"])
    return min(rounded, base.context_tokens)


def _asked(overrides: dict[str, Any], resolved: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word, value in overrides.items():
        if value is None or value == "auto":
            continue
        if word == "n_epochs":
            found |= {"num_epochs": value}
            if "max_seen_tokens" not in overrides:
                found["max_seen_tokens"] = None  # epochs asked for are epochs given
        elif word == "learning_rate_multiplier":
            found["learning_rate"] = resolved["learning_rate"] * value
        elif word in TrainingSpec.model_fields:
            found[word] = value
        else:
            raise Invalid(f"There is no setting named '{word}'.", code="unknown_hyperparameter", param=word)
    return found
