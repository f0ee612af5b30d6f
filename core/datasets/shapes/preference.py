"""A prompt with the better answer and the other: OpenAI's words, and the common ones."""

from typing import Any, Final

from core.datasets import rows
from core.datasets.formats import preferences
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape


def _read(row: int, values: Values) -> RowContent:
    if not preferences.is_preference(values):
        raise missing(row, "preference_malformed", "chosen")
    return preferences.preference(row, values)


_SIDES: Final = ("chosen", "rejected")
_OF_TEXTS: Final = tuple({name, *_SIDES} for name in preferences.PROMPT_NAMES)


def _is_sound(values: Any) -> bool:  # noqa: ANN401 - any JSON
    """Of three texts."""
    try:
        chosen, rejected = (rows.clean(values[name]) for name in _SIDES)
        prompt = next(values[name] for name in preferences.PROMPT_NAMES if name in values)
        is_said = bool(chosen and rejected and prompt.strip())
        return is_said and chosen != rejected and values.keys() in _OF_TEXTS
    except (KeyError, TypeError, AttributeError, StopIteration):
        return False


PREFERENCE = LineShape(
    name=Shape.PREFERENCE,
    kind=RowKind.PREFERENCE,
    called="a preference (two answers to one prompt)",
    is_line=preferences.is_preference,
    read=_read,
    is_sound=_is_sound,
)
