"""Rows that are longer than the model reads."""

from collections.abc import Iterable

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Fix, Problem, Severity

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
