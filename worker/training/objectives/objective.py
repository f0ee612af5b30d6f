"""What an objective is to the loop: a loss of a micro-batch that adds up to that of the whole optimizer step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from worker.training.batches import MicroBatch
from worker.training.data.token_index import TokenIndex
from worker.training.methods.model import TunableModel


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a whole optimizer step, over all of its micro-batches and processes: what losses are divided by."""

    weight: float
    """Sum of the weights of all trained targets."""
    preferred_weight: float
    """The part of it that lies in the first sequence of each example: all of it, or the preferred answers of pairs."""
    num_targets: int
    num_examples: int

    @staticmethod
    def of(index: TokenIndex, examples: Sequence[int]) -> "Totals":
        weight, preferred_weight, num_targets = 0.0, 0.0, 0
        for example in examples:
            weights = index.example_weights(example)
            first, *_ = index.sequences(example)
            weight += float(weights.sum(dtype="float64"))
            preferred_weight += float(index.sequence_weights(first).sum(dtype="float64"))
            num_targets += int((weights > 0).sum())
        return Totals(
            weight=weight, preferred_weight=preferred_weight, num_targets=num_targets, num_examples=len(examples)
        )


@dataclass(frozen=True, slots=True)
class MicroLoss:
    """Everything is divided by the totals already, so values of micro-batches and processes only have to be added."""

    loss: Tensor
    """Float32 scalar with a gradient."""
    shares: dict[str, Tensor]
    """Detached scalars for showing: `loss`, `accuracy`, and what else the objective knows."""


class Objective(Protocol):
    def micro_loss(self, model: TunableModel, batch: MicroBatch, totals: Totals) -> MicroLoss: ...
