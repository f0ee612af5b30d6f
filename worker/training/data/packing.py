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


def pack_evenly(lengths: Sequence[int], *, capacity: int, num_shares: int) -> list[list[int]]:
    """As `pack`, for `num_shares` that work side by side: fullest bin first, and none idle while another has two.

    It takes as many rounds of a bin for each share as `pack` would need; the bins are then made as small, and with that
    as equal, as so many rounds allow: a step of few tokens is split up instead of being left to one share.
    """
    best = pack(lengths, capacity=capacity)
    num_bins = num_shares * -(-len(best) // num_shares)
    # best fit is no monotone function of the capacity, but near enough to be searched like one
    low, high = 1, min(capacity, sum(lengths))
    while low < high:
        middle = (low + high) // 2
        bins = pack(lengths, capacity=middle)
        if len(bins) <= num_bins:
            best, high = bins, middle
        else:
            low = middle + 1
    return sorted(best, key=lambda places: -sum(lengths[place] for place in places))


def epoch_order(num_examples: int, *, seed: int, epoch: int) -> list[int]:
    """The order of examples in an epoch: a function of seed and epoch, so a resumed run needs no saved state."""
    order = list(range(num_examples))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order
