"""All detectors over the rows of one version."""

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from core.datasets.health.dates import DATE_UNREADABLE
from core.datasets.health.detector import Detector, Look, Tally
from core.datasets.health.languages import Languages
from core.datasets.health.lengths import Lengths
from core.datasets.health.near import NearDuplicates
from core.datasets.health.registry import LEFT_OUT, file_detectors, row_detectors, unreadable
from core.datasets.health.repetition import Repetition
from core.datasets.types import Finding, Health, Problem, RowContent, Severity

_WORST_FIRST = (Severity.ERROR, Severity.WARNING, Severity.NOTE)


class HealthCheck:
    """Two passes: `observe` every usable row, then ask for the `problems` of each, then for the `summary`."""

    def __init__(self, *, max_row_tokens: int) -> None:
        self._repetition = Repetition()
        self._near = NearDuplicates(self._repetition)
        self._lengths, self._languages = Lengths(), Languages()
        # repetition first: the others go by what it has seen
        whole: list[Detector] = [self._repetition, self._near, self._lengths, self._languages, *file_detectors()]
        single = row_detectors(max_row_tokens=max_row_tokens)
        self._detectors = [*whole, *single]
        self._rules = {rule.code: rule for detector in self._detectors for rule in detector.rules} | LEFT_OUT
        self._rules[DATE_UNREADABLE.code] = DATE_UNREADABLE
        self._observing = [one for one in self._detectors if type(one).observe is not Detector.observe]
        self._telling = [one for one in [*single, *whole] if type(one).problems is not Detector.problems]
        self._tallies: dict[str, Tally] = defaultdict(Tally)

    @property
    def counts(self) -> Mapping[bytes, int]:
        """How often each distinct example occurs, by its digest."""
        return self._repetition.counts

    @property
    def groups(self) -> Mapping[bytes, bytes]:
        """What belongs on one side of the split: see `choose_heldout`."""
        return self._near.groups

    def note_split(self, heldout: AbstractSet[bytes]) -> None:
        """Tell, before the second pass, which digests are held out."""
        self._near.note_split(heldout)

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

    def undated(self, number: int) -> Problem:
        """Count a row whose date cannot be read; what is said of it."""
        self._tallies[DATE_UNREADABLE.code].add(number)
        return DATE_UNREADABLE.problem(number)

    def leave_out(self, number: int, problem: Problem) -> None:
        """Count a row that cannot be used."""
        self._tallies[problem.code].add(number)

    def summary(self) -> Health:
        found: list[Finding] = []
        for code, tally in self._tallies.items():
            rule = self._rules.get(code) or unreadable(code)
            found.append(rule.finding(tally.count, tally.rows))
        found += [finding for detector in self._detectors for finding in detector.summary()]
        return Health(
            findings=sorted(found, key=lambda one: (_WORST_FIRST.index(one.severity), -one.count, one.code)),
            answer_lengths=self._lengths.histogram(),
            languages=self._languages.shares(),
        )
