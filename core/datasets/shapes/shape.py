"""What a shape is: how its lines are told, and how one is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.datasets.formats import refusals
from core.datasets.types import Problem, RowContent, RowKind, Severity, Shape

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LineShape:
    name: Shape
    kind: RowKind
    called: str
    """In a sentence: `this line holds …`."""
    is_line: Callable[[Values], bool]
    read: Callable[[int, Values], RowContent | Problem]
    """Raises `Invalid` for a line that breaks the shape; a `Problem` leaves out one row."""
    is_sound: Callable[[Any], bool] | None = None
    """Whether any JSON is surely a line of this shape and no other, in which nothing is wrong; told in a microsecond.
    What it does not know it denies: `read` and `rows` look closer then."""


def missing(row: int, code: str, name: str) -> Exception:
    """For a line without what makes the shape."""
    return refusals.refuse(
        code,
        row=row,
        column=name,
        cause=f"Other lines have {name}, this one has none.",
        fix="Write every line in the same way.",
    )


def without_answer(row: int, column: str) -> Problem:
    return Problem(
        row=row,
        column=column,
        code="no_answer",
        cause="In this conversation the assistant never answers.",
        fix="Add the answer that you want, or delete the row; it is left out as it is.",
        severity=Severity.ERROR,
    )
