"""What is odd about examples that can be used all the same: said twice, answered two ways, holding a card number."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from core.datasets.types import Message, Problem, RowContent, RowKind, Severity

# 13 to 19 digits, in groups or not, that are not part of a longer number
_CARD = re.compile(r"(?<![\d.,-])[3-6](?:[ -]?\d){12,18}(?![\d-])")
_MODULUS = 10


def content_digest(content: RowContent) -> bytes:
    """The same for the same row, and for no other. 16 bytes, so that a million fit in memory."""
    digest = hashlib.sha256()
    if content.text is not None:
        digest.update(b"text ")
        digest.update(content.text.encode())
    _add_messages(digest, content.messages)
    if content.tools:
        _add_value(digest, "tools", content.tools)
    for name, answer in (("chosen", content.chosen), ("rejected", content.rejected)):
        if answer is not None:
            digest.update(f"{name} ".encode())
            _add_messages(digest, answer)
    return digest.digest()[:16]


def question_and_answer_digests(content: RowContent) -> tuple[bytes, bytes] | None:
    """What is asked and what is said to it, without regard to case and blanks; None for plain text, which asks nothing.

    Of a preference the question is which of the two answers to prefer, in either order.
    """
    if content.text is not None:
        return None
    if content.chosen is None or content.rejected is None:
        *asked, answer = _folded(content.messages)
        return _digest(asked, content.tools), _digest([answer])
    chosen, rejected = _digest(_folded(content.chosen)), _digest(_folded(content.rejected))
    pair = b"".join(sorted((chosen, rejected)))
    return _digest(_folded(content.messages), content.tools) + pair, chosen


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...


def _digest(messages: Sequence[Message], tools: list[dict[str, Any]] | None = None) -> bytes:
    return content_digest(RowContent(messages=list(messages), tools=tools))


def _add_messages(digest: _Digest, messages: Sequence[Message]) -> None:
    for message in messages:
        content = (message["content"] or "").encode()
        digest.update(f"{message['role']} {len(content)} ".encode())
        digest.update(content)
        for name in ("weight", "name", "tool_calls", "tool_call_id"):
            if name in message:
                _add_value(digest, name, message[name])


def _add_value(digest: _Digest, name: str, value: object) -> None:
    written = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    digest.update(f"+{name} {len(written)} ".encode())
    digest.update(written)


def _folded(messages: Sequence[Message]) -> list[Message]:
    """Only what is said: who is named and how much it is learned makes no other question."""
    found = []
    for message in messages:
        copy = Message(role=message["role"], content=" ".join((message["content"] or "").casefold().split()))
        if "tool_calls" in message:
            copy["tool_calls"] = [{"type": "function", "function": call["function"]} for call in message["tool_calls"]]
        found.append(copy)
    return found


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
        """Questions with more than one answer, pairs preferred both ways round."""
        return len(self._contradicted)

    def add(self, row: int, content: RowContent) -> None:
        example = content_digest(content)
        self._examples[example] += 1
        self._first_rows.setdefault(example, row)
        asked = question_and_answer_digests(content)
        if asked is not None and self._answers.setdefault(asked[0], asked[1]) != asked[1]:
            self._contradicted.add(asked[0])

    def problem(self, row: int, content: RowContent) -> Problem | None:
        first_row = self._first_rows[content_digest(content)]
        asked = question_and_answer_digests(content)
        if asked is not None and asked[0] in self._contradicted:
            return _contradiction_problem(row, content)
        if first_row != row:
            return _warning(
                row,
                "duplicate",
                f"The row says the same as row {first_row}.",
                "Delete it, unless the model should take this example more to heart than others.",
            )
        return None


def _contradiction_problem(row: int, content: RowContent) -> Problem:
    if content.kind is RowKind.PREFERENCE:
        return _warning(
            row,
            "contradiction",
            "Another row has the same two answers and prefers the other one.",
            "Decide which of the two is better, and delete the other row.",
        )
    return _warning(
        row,
        "contradiction",
        "The same question has a different answer in another row.",
        "Decide for one answer, or say in the question what makes them differ.",
    )


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
