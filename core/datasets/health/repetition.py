"""What a file says more than once: exactly so, or with two answers to one question."""

from collections import Counter
from collections.abc import Iterable

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.health.digests import question_and_answer_digests
from core.datasets.types import Fix, Problem, RowKind, Severity

DUPLICATE = Rule(
    code="duplicate",
    severity=Severity.WARNING,
    one="1 example says the same as an earlier one.",
    many="{count} examples say the same as an earlier one.",
    cause="The row says the same as an earlier one.",
    advice="Delete it, unless the model should take this example more to heart than others.",
    fixes=(Fix.LEAVE_OUT,),
)
CONTRADICTION = Rule(
    code="contradiction",
    severity=Severity.WARNING,
    one="1 example contradicts another.",
    many="{count} examples contradict each other: to the same question, another answer is right.",
    cause="The same question has a different answer in another row.",
    advice="Decide for one answer, or say in the question what makes them differ.",
)
_PREFERRED_BOTH_WAYS = "Another row has the same two answers and prefers the other one."
_DECIDE = "Decide which of the two is better, and delete the other row."


class Repetition(Detector):
    rules = (DUPLICATE, CONTRADICTION)

    def __init__(self) -> None:
        self.counts: Counter[bytes] = Counter()
        """How often each distinct example occurs, by its digest."""
        self._answers: dict[bytes, bytes] = {}
        self._contradicted: set[bytes] = set()
        self.first_rows: dict[bytes, int] = {}
        """Where each distinct example stands first, by its digest."""

    def observe(self, row: Look) -> None:
        self.counts[row.digest] += 1
        self.first_rows.setdefault(row.digest, row.number)
        asked = question_and_answer_digests(row.content)
        if asked is not None and self._answers.setdefault(asked[0], asked[1]) != asked[1]:
            self._contradicted.add(asked[0])

    def problems(self, row: Look) -> Iterable[Problem]:
        if self._contradicted:
            asked = question_and_answer_digests(row.content)
            if asked is not None and asked[0] in self._contradicted:
                yield (
                    CONTRADICTION.problem(row.number, _PREFERRED_BOTH_WAYS, advice=_DECIDE)
                    if row.content.kind is RowKind.PREFERENCE
                    else CONTRADICTION.problem(row.number)
                )
        first_row = self.first_rows[row.digest]
        if first_row != row.number:
            yield DUPLICATE.problem(row.number, f"The row says the same as row {first_row:,}.")
