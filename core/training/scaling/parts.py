"""The parts of the training rows that are learned from, and how.

Each holds the one before it (nested), and each is trained as long: a quarter is seen four times as often as the whole.
So what differs between them is the rows, not the training.
"""

import math
import random
from typing import Final

from core.training.spec import TrainingSpec

DIVISORS: Final = (4, 2, 1)
"""A quarter, a half, all."""
MIN_TRAIN: Final = 40
MIN_HELDOUT: Final = 10


def sizes_of(num_train: int) -> list[int]:
    return [num_train // divisor for divisor in DIVISORS]


def places_of(num_train: int, *, seed: int) -> list[frozenset[int]]:
    """Which rows each part has, by their places from 0 on."""
    order = list(range(num_train))
    random.Random(seed).shuffle(order)
    return [frozenset(order[:size]) for size in sizes_of(num_train)]


def spec_of(spec: TrainingSpec, place: int, *, num_train: int) -> TrainingSpec:
    """What is trained on the part at this place, of the spec for all rows; measured halfway and at the end."""
    num_epochs = spec.num_epochs * DIVISORS[place]
    num_steps = math.ceil(sizes_of(num_train)[place] / spec.batch_size) * num_epochs
    changes = {"num_epochs": num_epochs, "max_seen_tokens": None, "eval_every_steps": max(1, math.ceil(num_steps / 2))}
    return spec.model_copy(update=changes)
