"""Which examples are held out: set aside, never learned from, to measure what the model makes of the unseen."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

HELDOUT_SHARE = 0.1
MIN_HELDOUT, MAX_HELDOUT = 1, 500


def heldout_target(num_rows: int) -> int:
    """How many rows to hold out of `num_rows`."""
    return min(max(round(num_rows * HELDOUT_SHARE), MIN_HELDOUT), MAX_HELDOUT)


def choose_heldout(counts: Mapping[bytes, int], groups: Mapping[bytes, bytes] | None = None) -> frozenset[bytes]:
    """The digests to hold out, from how often each occurs: all rows of one digest are on one side.

    So are the digests of one group (`groups` has the group of those that are in any), unless that would hold out less
    than half of what is wanted: where nearly everything is alike, something must be measured all the same.

    Depends on the contents alone, not on their order, so the same examples always split alike. At least one digest is
    chosen and one is left; there must be two.
    """
    target = heldout_target(sum(counts.values()))
    if groups:
        grouped = _choose_groups(counts, groups)
        if target <= 2 * sum(counts[digest] for digest in grouped) <= 4 * target:
            return grouped
    ranked = sorted(counts, key=rank)
    chosen = take(ranked, counts, target)
    # where every example is said more often than the target, the rarest is the least loss
    return chosen or frozenset({min(ranked, key=lambda digest: counts[digest])})


def rank(digest: bytes) -> bytes:
    """Its place among the contents of any file: those that come first are held out."""
    return hashlib.sha256(b"heldout" + digest).digest()


def take(ranked: Iterable[bytes], counts: Mapping[bytes, int], target: int) -> frozenset[bytes]:
    """From the first on, whatever does not bring them above `target` rows."""
    chosen: set[bytes] = set()
    num_chosen = 0
    for digest in ranked:
        if num_chosen == target:
            break
        if num_chosen + counts[digest] <= target:
            chosen.add(digest)
            num_chosen += counts[digest]
    return frozenset(chosen)


def _choose_groups(counts: Mapping[bytes, int], groups: Mapping[bytes, bytes]) -> frozenset[bytes]:
    """Empty if all is one group."""
    members: dict[bytes, list[bytes]] = defaultdict(list)
    for digest in counts:
        members[groups.get(digest, digest)].append(digest)
    if len(members) == 1:
        return frozenset()
    chosen = choose_heldout({group: sum(counts[one] for one in digests) for group, digests in members.items()})
    return frozenset(digest for group in chosen for digest in members[group])
