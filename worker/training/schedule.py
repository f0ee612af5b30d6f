"""Which examples each optimizer step sees, and at what learning rate: all known before the first step."""

import math
from collections.abc import Callable
from typing import assert_never

from core.training.spec import TrainingSpec
from worker.training.data.packing import epoch_order
from worker.training.data.token_index import TokenIndex


def plan_batches(index: TokenIndex, spec: TrainingSpec) -> list[list[int]]:
    """Examples of every step, in order. Each epoch shuffles anew; its last step may be smaller."""
    batches: list[list[int]] = []
    seen_tokens = 0
    for epoch in range(spec.num_epochs):
        order = epoch_order(index.num_examples, seed=spec.seed, epoch=epoch)
        for begin in range(0, len(order), spec.batch_size):
            batch = order[begin : begin + spec.batch_size]
            batches.append(batch)
            seen_tokens += sum(index.length(example) for example in batch)
            if spec.max_seen_tokens is not None and seen_tokens >= spec.max_seen_tokens:
                return batches
    return batches


def epoch_ends(index: TokenIndex, spec: TrainingSpec) -> frozenset[int]:
    """The numbers of steps after which every row was seen once more."""
    steps_per_epoch = math.ceil(index.num_examples / spec.batch_size)
    return frozenset(steps_per_epoch * (epoch + 1) for epoch in range(spec.num_epochs))


def learning_rate(spec: TrainingSpec, *, total_steps: int) -> Callable[[int], float]:
    """Rate of step 0, 1, ...: a straight rise to the peak, then the schedule's fall to (nearly) zero."""
    warmup_steps = math.ceil(spec.warmup_ratio * total_steps)

    def at(step: int) -> float:
        if step < warmup_steps:
            return spec.learning_rate * (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        match spec.schedule:
            case "constant":
                return spec.learning_rate
            case "linear":
                return spec.learning_rate * (1 - progress)
            case "cosine":
                return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
            case _:
                assert_never(spec.schedule)

    return at
