"""What a table's row holds under a mapping, where one row makes one example."""

from collections.abc import Mapping as Map

from core.datasets import rows
from core.datasets.types import Mapping, Message, Problem, RowContent, RowKind


def content_of(row: int, values: Map[str, str], mapping: Mapping) -> RowContent | Problem:
    """By the column's name; the mapping is complete and not of threads."""
    for name in (mapping.question, mapping.answer, mapping.chosen, mapping.rejected, mapping.text):
        if name is not None and not values.get(name, "").strip():
            return rows.empty(row, name)
    if mapping.text is not None:
        return RowContent(text=values[mapping.text])
    messages = _asked(values, mapping)
    if mapping.kind is RowKind.PREFERENCE:
        chosen, rejected = (_answer(values, name) for name in (mapping.chosen, mapping.rejected))
        return RowContent(messages=messages, chosen=[chosen], rejected=[rejected])
    return RowContent(messages=[*messages, _answer(values, mapping.answer)])


def _asked(values: Map[str, str], mapping: Mapping) -> list[Message]:
    system = mapping.system_text or _value(values, mapping.system)
    question = rows.joined(_value(values, mapping.question), _value(values, mapping.context))
    asked = Message(role="user", content=question)
    return [Message(role="system", content=system), asked] if system.strip() else [asked]


def _answer(values: Map[str, str], name: str | None) -> Message:
    return Message(role="assistant", content=_value(values, name))


def _value(values: Map[str, str], name: str | None) -> str:
    return "" if name is None else values.get(name, "")
