"""Which rows of a changed version are held out: those that were, or others, if somebody asks for another split."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from core.datasets.changes import Resplit, SplitStrategy
from core.datasets.health import content_digest, question_and_answer_digests
from core.datasets.ingest_files import IngestedRow
from core.datasets.splits import choose_heldout, rank, take
from core.datasets.types import Split

_RANKS = 2**64


class Sides:
    """Feed every usable row first, then ask. Contents are on one side, whatever rows say them, and stay on it."""

    def __init__(self, resplit: Resplit | None) -> None:
        self._resplit = resplit
        self._known: dict[bytes, Split] = {}
        self._strata: dict[bytes, bytes] = {}
        self._first_numbers: dict[bytes, int] = {}
        self._times: dict[bytes, float] = {}

    def add(self, row: IngestedRow, *, is_known: bool) -> None:
        """`is_known` says that the row held this before, so that its side stays."""
        digest = content_digest(row)
        if self._resplit is None:
            if is_known and row.split is not Split.LEFT_OUT:
                self._known[digest] = row.split
            return
        # equal rows go with the first of them, so that none of them stands on both sides
        self._first_numbers.setdefault(digest, row.number)
        if row.time is not None:
            # what was said before already is not new
            self._times[digest] = min(row.time, self._times.get(digest, row.time))
        self._strata.setdefault(digest, _STRATUM_OF[self._resplit.strategy](row))

    def heldout(self, counts: Mapping[bytes, int]) -> frozenset[bytes]:
        """The digests that are held out, from how often each occurs; some, but never all."""
        found = self._kept(counts) if self._resplit is None else self._chosen(self._resplit, counts)
        return found if 0 < len(found) < len(counts) else choose_heldout(counts)

    def _kept(self, counts: Mapping[bytes, int]) -> frozenset[bytes]:
        """What was held out, and as large a share of what is new."""
        heldout = {digest for digest, split in self._known.items() if split is Split.HELDOUT and digest in counts}
        share = len(heldout) / max(len(self._known), 1)
        new = (digest for digest in counts if digest not in self._known)
        return frozenset(heldout | {digest for digest in new if int.from_bytes(rank(digest)[:8]) < share * _RANKS})

    def _chosen(self, resplit: Resplit, counts: Mapping[bytes, int]) -> frozenset[bytes]:
        strata: dict[bytes, list[bytes]] = defaultdict(list)
        for digest in counts:
            strata[self._strata[digest]].append(digest)
        chosen: set[bytes] = set()
        owed = 0.0
        for stratum in sorted(strata):
            digests = strata[stratum]
            # what is less than a row goes over to the next, so that the share of the whole is right
            owed += resplit.fraction * sum(counts[digest] for digest in digests)
            taken = take(self._ranked(resplit, digests), counts, round(owed))
            owed -= sum(counts[digest] for digest in taken)
            chosen |= taken
        return frozenset(chosen)

    def _ranked(self, resplit: Resplit, digests: list[bytes]) -> list[bytes]:
        if resplit.strategy is SplitStrategy.LAST:
            return sorted(digests, key=lambda digest: -self._first_numbers[digest])
        if resplit.strategy is SplitStrategy.BY_TIME:
            dated = [digest for digest in digests if digest in self._times]
            # of the same moment, by contents
            return sorted(dated, key=lambda digest: (-self._times[digest], rank(digest)))
        return sorted(digests, key=rank)


def _answer(row: IngestedRow) -> bytes:
    asked = question_and_answer_digests(row)
    return b"" if asked is None else asked[1]


_STRATUM_OF: dict[SplitStrategy, Callable[[IngestedRow], bytes]] = {
    SplitStrategy.RANDOM: lambda _: b"",
    SplitStrategy.LAST: lambda _: b"",
    SplitStrategy.BY_TIME: lambda _: b"",
    SplitStrategy.BY_TAG: lambda row: ",".join(row.tags).encode(),
    SplitStrategy.BY_ANSWER: _answer,
}
