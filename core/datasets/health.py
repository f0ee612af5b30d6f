"""What is odd about examples that can be used all the same: said twice, answered two ways, holding a card number."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from core.datasets.types import Message, Problem, Severity

# 13 to 19 digits, in groups or not, that are not part of a longer number
_CARD = re.compile(r"(?<![\d.,-])[3-6](?:[ -]?\d){12,18}(?![\d-])")
_MODULUS = 10


def example_digest(messages: Sequence[Message]) -> bytes:
    """The same for the same conversation, and for no other. 16 bytes, so that a million fit in memory."""
    digest = hashlib.sha256()
    for message in messages:
        content = message["content"].encode()
        digest.update(f"{message['role']} {len(content)} ".encode())
        digest.update(content)
    return digest.digest()[:16]


def question_digest(messages: Sequence[Message]) -> bytes:
    """Of everything before the last answer, without regard to case and blanks."""
    return example_digest(_folded(messages[:-1]))


def _folded(messages: Sequence[Message]) -> list[Message]:
    return [
        Message(role=message["role"], content=" ".join(message["content"].casefold().split())) for message in messages
    ]


def has_card_number(text: str) -> bool:
    """Whether a run of digits could be a payment card's: right length, right beginning, right check digit (Luhn)."""
    return any(_passes_luhn(re.sub(r"\D", "", found.group())) for found in _CARD.finditer(text))


def _passes_luhn(digits: str) -> bool:
    total = 0
    for index, char in enumerate(reversed(digits)):
        doubled = int(char) * (1 + index % 2)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 - the sum of its two digits
    return total % _MODULUS == 0 and len(set(digits)) > 1


class Repetition:
    """What a whole file says more than once. Feed every usable example first, then ask about each."""

    def __init__(self) -> None:
        self._examples: Counter[bytes] = Counter()
        self._answers: dict[bytes, bytes] = {}
        self._contradicted: set[bytes] = set()
        self._first_rows: dict[bytes, int] = {}

    @property
    def counts(self) -> Counter[bytes]:
        """How often each distinct example occurs."""
        return self._examples

    @property
    def num_duplicates(self) -> int:
        """Rows that repeat an earlier one exactly."""
        return self._examples.total() - len(self._examples)

    @property
    def num_contradictions(self) -> int:
        """Questions with more than one answer."""
        return len(self._contradicted)

    def add(self, row: int, messages: Sequence[Message]) -> None:
        example, question = example_digest(messages), question_digest(messages)
        self._examples[example] += 1
        self._first_rows.setdefault(example, row)
        answer = example_digest(_folded(messages[-1:]))
        if self._answers.setdefault(question, answer) != answer:
            self._contradicted.add(question)

    def problem(self, row: int, messages: Sequence[Message]) -> Problem | None:
        first_row = self._first_rows[example_digest(messages)]
        if question_digest(messages) in self._contradicted:
            return _warning(
                row,
                "contradiction",
                "The same question has a different answer in another row.",
                "Decide for one answer, or say in the question what makes them differ.",
            )
        if first_row != row:
            return _warning(
                row,
                "duplicate",
                f"The row says the same as row {first_row}.",
                "Delete it, unless the model should take this example more to heart than others.",
            )
        return None


def card_number_problem(row: int) -> Problem:
    return _warning(
        row,
        "card_number",
        "There is what looks like a payment card's number.",
        "Remove it: a model may repeat what it learned to anybody.",
    )


def too_long_problem(row: int, num_tokens: int, max_tokens: int) -> Problem:
    return _warning(
        row,
        "too_long",
        f"The example has {num_tokens} tokens; the model reads at most {max_tokens}, and the rest is cut off.",
        "Shorten it, so that the answer is not lost.",
    )


def _warning(row: int, code: str, cause: str, fix: str) -> Problem:
    return Problem(row=row, column=None, code=code, cause=cause, fix=fix, severity=Severity.WARNING)
