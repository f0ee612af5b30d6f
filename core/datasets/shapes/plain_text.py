"""`{"text": "…"}` with nothing beside it but where it comes from."""

from typing import Any, Final

from core.datasets import rows
from core.datasets.formats import refusals
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape

# what a line of plain text may have beside it, and nobody learns from
_ABOUT_A_TEXT: Final = frozenset(
    {"id", "meta", "metadata", "url", "source", "title", "date", "timestamp", "lang", "language"}
)


def _is_line(values: Values) -> bool:
    return "text" in values and values.keys() - {"text"} <= _ABOUT_A_TEXT


def _read(row: int, values: Values) -> RowContent:
    if "text" not in values:
        raise missing(row, "text_malformed", "text")
    if not isinstance(values["text"], str):
        raise refusals.refuse(
            "text_malformed", row=row, column="text", cause="This is not a text.", fix="Write the text as one string."
        )
    return RowContent(text=rows.clean(values["text"]))


def _is_sound(values: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        return bool(values["text"].strip()) and _is_line(values)
    except (KeyError, TypeError, AttributeError):
        return False


PLAIN_TEXT = LineShape(
    name=Shape.TEXT,
    kind=RowKind.TEXT,
    called='plain text ("text")',
    is_line=_is_line,
    read=_read,
    is_sound=_is_sound,
)
