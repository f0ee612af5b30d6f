"""Both passes of the health check over rows made by hand."""

from collections.abc import Iterable

from core.datasets.health.check import HealthCheck
from core.datasets.rows import question_and_answer as ask
from core.datasets.splits import choose_heldout
from core.datasets.types import Health, Problem, RowContent


def check(rows: Iterable[RowContent], *, max_row_tokens: int = 1000) -> tuple[list[list[str]], Health]:
    """The codes of each row, numbered from 1, and the summary."""
    found, health = check_problems(rows, max_row_tokens=max_row_tokens)
    return [[problem.code for problem in problems] for problems in found], health


def check_problems(rows: Iterable[RowContent], *, max_row_tokens: int = 1000) -> tuple[list[list[Problem]], Health]:
    numbered = list(enumerate(rows, start=1))
    health = HealthCheck(max_row_tokens=max_row_tokens)
    for number, row in numbered:
        health.observe(number, row)
    if len(health.counts) > 1:
        health.note_split(choose_heldout(health.counts, health.groups))
    return [health.problems(number, row) for number, row in numbered], health.summary()


def codes_of_answer(answer: str, *, question: str = "What do I do?") -> list[str]:
    return check([ask(question, answer)])[0][0]


def finding_codes(health: Health) -> set[str]:
    return {finding.code for finding in health.findings}
