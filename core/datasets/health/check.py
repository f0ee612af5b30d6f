"""All detectors over the rows of one version."""

from collections import defaultdict
from collections.abc import Mapping

from core.datasets.health.detector import Detector, Look, Tally
from core.datasets.health.registry import LEFT_OUT, detectors, unreadable
from core.datasets.health.repetition import Repetition
from core.datasets.types import Finding, Health, Problem, RowContent, Severity

_WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


class HealthCheck:
    """Two passes: `observe` every usable row, then ask for the `problems` of each, then for the `summary`."""

    def __init__(self, *, max_row_tokens: int) -> None:
        self._repetition = Repetition()
        self._detectors = detectors(self._repetition, max_row_tokens=max_row_tokens)
        self._rules = {rule.code: rule for detector in self._detectors for rule in detector.rules} | LEFT_OUT
        self._observing = [one for one in self._detectors if type(one).observe is not Detector.observe]
        self._telling = [one for one in self._detectors if type(one).problems is not Detector.problems]
        self._tallies: dict[str, Tally] = defaultdict(Tally)

    @property
    def counts(self) -> Mapping[bytes, int]:
        """How often each distinct example occurs, by its digest."""
        return self._repetition.counts

    @property
    def num_observed(self) -> int:
        return self._repetition.counts.total()

    def observe(self, number: int, content: RowContent) -> None:
        row = Look(number, content)
        for detector in self._observing:
            detector.observe(row)

    def problems(self, number: int, content: RowContent, *, num_tokens: int | None = None) -> list[Problem]:
        """What is odd about a row that was observed; `num_tokens` is what the model reads at once."""
        row = Look(number, content, num_tokens=num_tokens)
        found = [problem for detector in self._telling for problem in detector.problems(row)]
        for problem in found:
            self._tallies[problem.code].add(number)
        return found

    def leave_out(self, number: int, problem: Problem) -> None:
        """Count a row that cannot be used."""
        self._tallies[problem.code].add(number)

    def summary(self) -> Health:
        found: list[Finding] = []
        for code, tally in self._tallies.items():
            rule = self._rules.get(code) or unreadable(code)
            found.append(rule.finding(tally.count, tally.rows))
        found += [finding for detector in self._detectors for finding in detector.summary()]
        return Health(findings=sorted(found, key=lambda one: (_WORST_FIRST.index(one.severity), -one.count, one.code)))
