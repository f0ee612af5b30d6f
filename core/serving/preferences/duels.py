"""What votes on several answers say of each two who gave them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from typing import Final

from core.serving.preferences.types import Duel, Lead, Voice, VoteVerdict

# below, an interval is so wide that a glance at the share would mislead
MIN_CHOSEN: Final = 10
# of 95 %
_Z: Final = 1.959963984540054


@dataclass(slots=True)
class _Tally:
    first: int = 0
    second: int = 0
    equal: int = 0
    bad: int = 0


def duels(votes: Iterable[tuple[VoteVerdict, int | None, Sequence[Voice]]]) -> list[Duel]:
    """Of every two who met, those with the most votes first.

    The best of several beats each of the others; of the others among themselves that vote says nothing. Answers of the
    same voice are no duel.
    """
    tallies: dict[tuple[Voice, Voice], _Tally] = defaultdict(_Tally)
    for verdict, best, voices in votes:
        for one, other in combinations(range(len(voices)), 2):
            if voices[one] == voices[other]:
                continue
            first, second = sorted((one, other), key=lambda place: _name(voices[place]))
            if verdict is VoteVerdict.BEST and best not in (one, other):
                continue
            tally = tallies[voices[first], voices[second]]
            match verdict:
                case VoteVerdict.ALL_EQUAL:
                    tally.equal += 1
                case VoteVerdict.ALL_BAD:
                    tally.bad += 1
                case VoteVerdict.BEST:
                    tally.first += best == first
                    tally.second += best == second
    found = [_duel(first, second, tally) for (first, second), tally in tallies.items()]
    return sorted(found, key=lambda duel: (-_num_votes(duel), _name(duel.first), _name(duel.second)))


def wilson(num_won: int, num: int) -> tuple[float, float]:
    """The 95 % interval of a share: E. B. Wilson, JASA 22 (1927), 209-212. `num` is at least 1."""
    share, z2 = num_won / num, _Z * _Z
    centre = share + z2 / (2 * num)
    spread = _Z * sqrt(share * (1 - share) / num + z2 / (4 * num * num))
    whole = 1 + z2 / num
    return max((centre - spread) / whole, 0.0), min((centre + spread) / whole, 1.0)


def _duel(first: Voice, second: Voice, tally: _Tally) -> Duel:
    num_chosen = tally.first + tally.second
    low, high = wilson(tally.first, num_chosen) if num_chosen else (None, None)
    return Duel(
        first=first,
        second=second,
        num_first=tally.first,
        num_second=tally.second,
        num_equal=tally.equal,
        num_bad=tally.bad,
        share=tally.first / num_chosen if num_chosen else None,
        low=low,
        high=high,
        lead=_lead(num_chosen, low, high),
    )


def _lead(num_chosen: int, low: float | None, high: float | None) -> Lead:
    if num_chosen < MIN_CHOSEN or low is None or high is None:
        return Lead.TOO_FEW
    if low > 1 / 2:
        return Lead.FIRST
    return Lead.SECOND if high < 1 / 2 else Lead.UNDECIDED


def _num_votes(duel: Duel) -> int:
    return duel.num_first + duel.num_second + duel.num_equal + duel.num_bad


def _name(voice: Voice) -> tuple[str, str, int, str]:
    return voice.model, voice.alias or "", voice.profile or 0, voice.prompt_sha256 or ""
