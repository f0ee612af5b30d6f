"""JSON lines: one object a line, of whatever kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

from core.datasets.formats import refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.refusals import MAX_ROWS

_CONVERSATION = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


@dataclass(frozen=True, slots=True)
class JsonRecord:
    row: int
    values: dict[str, Any]


def read_objects(stream: BinaryIO) -> Iterator[JsonRecord]:
    """Every line that is not blank. Raises Invalid at the first byte or line that breaks a rule."""
    position = Position()
    for line in text_lines(stream, position):
        if line.strip():
            if position.row > MAX_ROWS:
                raise refusals.too_many_rows(position.row)
            yield JsonRecord(position.row, _object(position.row, line))
        position.row += 1


def _object(row: int, line: str) -> dict[str, Any]:
    hint = f"the line starts with {refusals.quoted(line[:100])}"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise refusals.refuse(
            "jsonl_malformed",
            row=row,
            cause=f"The line is not valid JSON ({_reason(error)}); {hint}.",
            fix="Write each example as one JSON object on one line.",
        ) from error
    if not isinstance(value, dict):
        raise refusals.refuse(
            "jsonl_not_object",
            row=row,
            cause=f"Every line must be a JSON object; {hint}.",
            fix=f"Write each example on one line like {_CONVERSATION}.",
        )
    return value


def _reason(error: orjson.JSONDecodeError) -> str:
    return f"{error.msg} at character {error.pos + 1}" if "character" not in error.msg else error.msg
