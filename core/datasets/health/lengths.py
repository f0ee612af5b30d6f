"""How long rows are: for the model, and beside each other."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity, Share

TOO_LONG = Rule(
    code="too_long",
    severity=Severity.WARNING,
    one="1 example is longer than the model reads; its end is cut off.",
    many="{count} examples are longer than the model reads; their ends are cut off.",
    cause="The example is longer than the model reads, and the rest is cut off.",
    advice="Shorten it, so that the answer is not lost.",
    fixes=(Fix.LEAVE_OUT,),
)


class TooLong(Detector):
    rules = (TOO_LONG,)

    def __init__(self, max_row_tokens: int) -> None:
        self._max_row_tokens = max_row_tokens

    def problems(self, row: Look) -> Iterable[Problem]:
        # a long text is learned in pieces, nothing of it is lost
        if row.num_tokens is not None and row.num_tokens > self._max_row_tokens and row.content.text is None:
            yield TOO_LONG.problem(
                row.number,
                f"The example has {row.num_tokens:,} tokens; the model reads at most {self._max_row_tokens:,}, and the "
                "rest is cut off.",
            )


# of the histogram, in characters
_BOUNDS = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
OUTLIER = Rule(
    code="length_outlier",
    severity=Severity.NOTE,
    one="1 answer is far longer than the others.",
    many="{count} answers are far longer than the others.",
    cause="The answer is far longer than the others.",
    advice="Look whether something slipped in, such as a whole page or several answers in one cell.",
    fixes=(Fix.LEAVE_OUT,),
)


class Lengths(Detector):
    """How long answers are; of plain text, the rows.

    Far longer is ten times as long as 95 of 100, from 2,000 characters on.
    """

    rules = (OUTLIER,)
    _TIMES, _MIN_CHARS, _MIN_ANSWERS = 10, 2000, 50

    def __init__(self) -> None:
        self._lengths = array("Q")
        self._limit: float | None = None

    def observe(self, row: Look) -> None:
        self._lengths.extend([len(text) for text in _texts(row)])

    def problems(self, row: Look) -> Iterable[Problem]:
        if self._limit is None:
            ordered = sorted(self._lengths)
            many = len(ordered) >= self._MIN_ANSWERS
            self._limit = (
                max(self._MIN_CHARS, self._TIMES * ordered[len(ordered) * 95 // 100]) if many else float("inf")
            )
        if any(len(answer) > self._limit for answer in _texts(row)):
            longest = max(len(answer) for answer in _texts(row))
            yield OUTLIER.problem(row.number, f"The answer has {longest:,} characters, far more than the others.")

    def histogram(self) -> list[Share]:
        """How many answers have how many characters."""
        counts = Counter(bisect_right(_BOUNDS, length) for length in self._lengths)
        used = [index for index in range(len(_BOUNDS) + 1) if counts[index]]
        if not used:
            return []
        return [Share(label=_bar_label(index), count=counts[index]) for index in range(used[0], used[-1] + 1)]


def _bar_label(index: int) -> str:
    if index == 0:
        return f"under {_BOUNDS[0]:,}"
    if index == len(_BOUNDS):
        return f"{_BOUNDS[-1]:,} and more"
    return f"{_BOUNDS[index - 1]:,} to {_BOUNDS[index] - 1:,}"


def _texts(row: Look) -> list[str]:
    return row.answers if row.content.text is None else [row.content.text]
