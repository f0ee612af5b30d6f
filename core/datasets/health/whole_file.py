"""What can only be said of all rows together: one label that drowns the others, one ending that all answers have."""

import hashlib
from collections import Counter
from collections.abc import Iterable

from core.datasets.health.detector import Detector, Look, Rule
from core.datasets.types import Finding, Severity

_MIN_ROWS = 50

IMBALANCE = Rule(
    code="imbalance",
    severity=Severity.NOTE,
    one="Nearly all answers are the same.",
    many="Nearly all answers are the same.",
    cause="",
    advice="Bring more examples of the other answers: the model could be right nearly always by saying only this one.",
)


class Imbalance(Detector):
    """Of answers that are labels: few and short."""

    _MAX_CHARS, _MAX_LABELS, _MAJORITY = 60, 50, 0.8

    def __init__(self) -> None:
        self._labels: Counter[str] | None = Counter()
        self._first_rows: dict[str, int] = {}

    def observe(self, row: Look) -> None:
        if self._labels is None or not row.answers:
            return
        label = row.answers[-1]
        if len(label) > self._MAX_CHARS or (len(self._labels) >= self._MAX_LABELS and label not in self._labels):
            self._labels = None
            return
        self._labels[label] += 1
        self._first_rows.setdefault(label, row.number)

    def summary(self) -> Iterable[Finding]:
        if not self._labels or len(self._labels) < 2 or self._labels.total() < _MIN_ROWS:  # noqa: PLR2004 - a choice
            return
        label, count = self._labels.most_common(1)[0]
        share = count / self._labels.total()
        if share >= self._MAJORITY:
            told = (
                f"{share:.0%} of the answers are “{label}”; the other {len(self._labels) - 1:,} kinds share the rest."
            )
            if len(self._labels) == 2:  # noqa: PLR2004 - one other
                told = f"{share:.0%} of the answers are “{label}”."
            others = [row for name, row in self._first_rows.items() if name != label]
            yield IMBALANCE.finding(count, others, sentence=told, can_be_listed=False)


BOILERPLATE = Rule(
    code="boilerplate",
    severity=Severity.NOTE,
    one="",
    many="",
    cause="",
    advice="Keep it if every answer is to end so. Otherwise take it away: the model learns it before all else.",
)


class Boilerplate(Detector):
    """The same end of more than a fifth of the answers, and of at least twenty."""

    _TAIL_CHARS, _MIN_CHARS, _SHARE, _MIN_COUNT, _MAX_TAILS = 40, 80, 0.2, 20, 100_000

    def __init__(self) -> None:
        self._tails: Counter[bytes] = Counter()
        self._shown: dict[bytes, tuple[str, int]] = {}
        self._num_answers = 0

    def observe(self, row: Look) -> None:
        for answer in row.answers:
            self._num_answers += 1
            if len(answer) < self._MIN_CHARS:
                continue
            tail = answer[-self._TAIL_CHARS :]
            key = hashlib.blake2b(tail.casefold().encode(errors="replace"), digest_size=8).digest()
            self._tails[key] += 1
            self._shown.setdefault(key, (tail, row.number))
        if len(self._tails) > self._MAX_TAILS:
            # what is said once in a hundred thousand answers is no fifth of all
            self._tails = Counter({key: count for key, count in self._tails.items() if count > 1})
            self._shown = {key: self._shown[key] for key in self._tails}

    def summary(self) -> Iterable[Finding]:
        if not self._tails:
            return
        key, count = self._tails.most_common(1)[0]
        if count >= self._MIN_COUNT and count > self._SHARE * self._num_answers:
            tail, row = self._shown[key]
            told = f"{count / self._num_answers:.0%} of the answers end in the same words: “…{' '.join(tail.split())}”"
            yield BOILERPLATE.finding(count, [row], sentence=told, can_be_listed=False)
