"""Examples of different lengths side by side without padding.

One optimizer step is `batch_size` examples, whatever their lengths; packing only decides which share a micro-batch.
So the effective batch, and with it what is learned, does not depend on the machine's memory.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], *, capacity: int) -> list[list[int]]:
    """Indices of `lengths` in as few bins of `capacity` tokens as best-fit-decreasing finds; longer ones get their own.

    Best fit decreasing needs at most 11/9 of the optimal number of bins (Johnson 1973). Deterministic: ties fall to the
    earlier example and the earlier bin. O(n log n) comparisons.
    """
    bins: list[list[int]] = []
    open_bins: list[tuple[int, int]] = []
    """(tokens of space left, bin), sorted."""
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        best = bisect_left(open_bins, (lengths[index], -1))
        if best < len(open_bins):
            space, place = open_bins.pop(best)
            bins[place].append(index)
        else:
            space, place = capacity, len(bins)
            bins.append([index])
        if space > lengths[index]:
            insort(open_bins, (space - lengths[index], place))
    return bins


def epoch_order(num_examples: int, *, seed: int, epoch: int) -> list[int]:
    """The order of examples in an epoch: a function of seed and epoch, so a resumed run needs no saved state."""
    order = list(range(num_examples))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order
