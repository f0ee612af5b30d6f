"""What a detector is: it sees every row once, may say something about each, and sums up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from core.datasets.health.digests import content_digest
from core.datasets.types import Finding, Fix, Problem, RowContent, Severity

MAX_ROWS_NAMED = 5


class Look:
    """A usable row as detectors see it; what several of them need is worked out once."""

    def __init__(self, number: int, content: RowContent, *, num_tokens: int | None = None) -> None:
        """`num_tokens` is what the model reads at once, where it was counted."""
        self.number = number
        self.content = content
        self.num_tokens = num_tokens

    @cached_property
    def digest(self) -> bytes:
        return content_digest(self.content)

    @cached_property
    def words(self) -> str:
        """Every text in the row, a line each."""
        return "\n".join(self.content.words())

    @cached_property
    def asked(self) -> str:
        """What the user says; of plain text, nothing."""
        return "\n".join(
            message["content"] or "" for message in self.content.messages if message["role"] in {"user", "tool"}
        )

    @cached_property
    def answers(self) -> list[str]:
        """What the model is to say: the assistant's words, of a preference those that were preferred."""
        messages = [*self.content.messages, *(self.content.chosen or [])]
        return [
            message["content"]
            for message in messages
            if message["role"] == "assistant" and message["content"] and message.get("weight", 1) != 0
        ]


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of finding and its words; `{count}` stands for the number of rows, in `one` it is 1."""

    code: str
    severity: Severity
    # of all rows that have it
    one: str
    many: str
    # of a single row
    cause: str
    advice: str
    fixes: tuple[Fix, ...] = ()

    def problem(self, row: int, cause: str | None = None, *, advice: str | None = None) -> Problem:
        return Problem(
            row=row,
            column=None,
            code=self.code,
            cause=cause or self.cause,
            fix=advice or self.advice,
            severity=self.severity,
        )

    def finding(
        self, count: int, rows: Iterable[int], *, sentence: str | None = None, can_be_listed: bool = True
    ) -> Finding:
        told = sentence or (self.one if count == 1 else self.many)
        return Finding(
            code=self.code,
            severity=self.severity,
            count=count,
            rows=list(rows)[:MAX_ROWS_NAMED],
            sentence=told.replace("{count}", f"{count:,}"),
            advice=self.advice,
            fixes=list(self.fixes),
            can_be_listed=can_be_listed,
        )


@dataclass(slots=True)
class Tally:
    """How many rows have something, and which were the first."""

    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        self.count += 1
        if len(self.rows) < MAX_ROWS_NAMED:
            self.rows.append(row)


class Detector:
    """Feed every usable row to `observe` first, then ask `problems` about each, then `summary`.

    A detector that needs no first pass leaves `observe` alone, and is not called in it.
    """

    rules: tuple[Rule, ...] = ()

    def observe(self, row: Look) -> None:
        """Learn what can only be said when all rows are known."""

    def problems(self, row: Look) -> Iterable[Problem]:  # noqa: ARG002 - who says nothing asks nothing
        """What is odd about this row."""
        return ()

    def summary(self) -> Iterable[Finding]:
        """What is to be said of all rows together; problems of single rows are summed up by the check itself."""
        return ()
