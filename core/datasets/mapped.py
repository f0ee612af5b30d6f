"""What a table's row holds under a mapping, where one row makes one example."""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as Map
from typing import Any, Final

from core.datasets import rows
from core.datasets.types import Mapping, Message, Problem, RowContent, RowKind

# names by which a line may be of a shape of its own
_OF_SHAPES: Final = frozenset({"conversations", "conversation", "messages", "preferred_output", "chosen", "history"})
# ... and by which it is, if there is a list
_OF_LISTS: Final = ("prompt", "completion")


def sound_cells(names: Sequence[str], mapping: Mapping | None) -> Callable[[Any], bool] | None:
    """Whether nothing is wrong with a row of cells, told at once; what it does not know it denies.

    None where that takes a closer look in any case.
    """
    needed = _needed(mapping)
    if needed is None:
        return None
    num_columns, places = len(names), [names.index(name) for name in needed]

    def is_sound(cells: list[str]) -> bool:
        if len(cells) > num_columns:
            return False
        try:
            for place in places:
                if not cells[place].strip():
                    return False
        except IndexError:
            return False
        # a row without a mapping has no part that could be empty, but if all are it is no row
        return bool(places) or any(cell.strip() for cell in cells)

    return is_sound


def sound_values(mapping: Mapping | None) -> Callable[[Any], bool] | None:
    """The same of named values in any JSON."""
    needed = _needed(mapping)
    if needed is None:
        return None
    others = [] if mapping is None else [name for name in mapping.columns().values() if name not in needed]

    def is_sound(values: Any) -> bool:  # noqa: ANN401 - any JSON
        try:
            for name in needed:
                if not values[name].strip():
                    return False
            for name in others:
                if isinstance(values.get(name), dict | list):
                    return False
            for name in _OF_LISTS:
                if isinstance(values.get(name), list):
                    return False
            return _OF_SHAPES.isdisjoint(values.keys())
        except (KeyError, TypeError, AttributeError):
            return False

    return is_sound


def _needed(mapping: Mapping | None) -> list[str] | None:
    """The columns that must say something; none of a mapping whose rows are not looked at one by one, or compared."""
    if mapping is None:
        return []
    if mapping.is_thread or mapping.kind is RowKind.PREFERENCE:
        return None
    return [name for name in (mapping.question, mapping.answer, mapping.text) if name is not None]


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
