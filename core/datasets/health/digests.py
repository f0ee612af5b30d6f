"""When two rows are the same row, and when they ask the same thing."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from core.datasets.types import Message, RowContent


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
    """As `content_digest` of these, without making them a row, which takes as long as all the rest."""
    digest = hashlib.sha256()
    _add_messages(digest, messages)
    if tools:
        _add_value(digest, "tools", tools)
    return digest.digest()[:16]


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


# marks at the end of a word; within one they may be all the difference: C++, C#
_MARKS = re.compile(r"[.,;:!?\"'„“”’…]+(?=\s|$)")  # noqa: RUF001 - all that people write


def _folded_text(text: str) -> str:
    folded = " ".join(text.casefold().split())
    return _MARKS.sub("", folded) or folded


def _folded(messages: Sequence[Message]) -> list[Message]:
    """Only what is said: who is named and how much it is learned makes no other question."""
    found = []
    for message in messages:
        copy = Message(role=message["role"], content=_folded_text(message["content"] or ""))
        if "tool_calls" in message:
            copy["tool_calls"] = [{"type": "function", "function": call["function"]} for call in message["tool_calls"]]
        found.append(copy)
    return found
