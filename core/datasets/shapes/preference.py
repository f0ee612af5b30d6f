"""A prompt with the better answer and the other: OpenAI's words, and the common ones."""

from core.datasets.formats import preferences
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape


def _read(row: int, values: Values) -> RowContent:
    if not preferences.is_preference(values):
        raise missing(row, "preference_malformed", "chosen")
    return preferences.preference(row, values)


PREFERENCE = LineShape(
    name=Shape.PREFERENCE,
    kind=RowKind.PREFERENCE,
    called="a preference (two answers to one prompt)",
    is_line=preferences.is_preference,
    read=_read,
)
