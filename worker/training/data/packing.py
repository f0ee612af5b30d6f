"""Rows of different lengths side by side without padding.

One optimizer step is `batch_size` rows, whatever their lengths; packing only decides which of them share a micro-batch.
So the effective batch, and with it what is learned, does not depend on the machine's memory.
"""

import random
from collections.abc import Sequence


def pack(lengths: Sequence[int], *, capacity: int) -> list[list[int]]:
    """Indices of `lengths` in as few bins of `capacity` tokens as best-fit-decreasing finds; longer rows get their own.

    Best fit decreasing needs at most 11/9 of the optimal number of bins (Johnson 1973). Deterministic: ties fall to the
    earlier row and the earlier bin.
    """
    bins: list[list[int]] = []
    space: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        fitting = [place for place, left in enumerate(space) if left >= lengths[index]]
        if fitting:
            best = min(fitting, key=lambda place: (space[place], place))
            bins[best].append(index)
            space[best] -= lengths[index]
        else:
            bins.append([index])
            space.append(capacity - lengths[index])
    return bins


def epoch_order(num_rows: int, *, seed: int, epoch: int) -> list[int]:
    """The order of rows in an epoch: a function of seed and epoch, so a resumed run needs no saved state."""
    order = list(range(num_rows))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order
