"""JSON lines: one object a line, of whatever kind."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from core.datasets.formats import encodings, refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.records import ObjectRecord, Objects
from core.datasets.formats.refusals import MAX_ROWS
from core.errors import Invalid

_HINT_CHARS = 20
_CONVERSATION = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


def open_objects(stream: BinaryIO) -> Objects:
    text, notices = encodings.in_utf8(stream)
    return Objects(read_objects(text), text.tell, notices)


def read_objects(stream: BinaryIO) -> Iterator[ObjectRecord]:
    """Every line that is not blank. Raises Invalid at the first byte or line that breaks a rule."""
    position = Position()
    for line in text_lines(stream, position):
        if line.strip():
            if position.row > MAX_ROWS:
                raise refusals.too_many_rows(position.row)
            yield ObjectRecord(position.row, _object(position.row, line))
        position.row += 1


def _object(row: int, line: str) -> dict[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        cause = f"The line is not valid JSON ({_reason(error)})"
        fix = "Write each example as one JSON object on one line."
        raise _refused("jsonl_malformed", row, line, cause=cause, fix=fix) from error
    if not isinstance(value, dict):
        cause = "Every line must be a JSON object"
        fix = f"Write each example on one line like {_CONVERSATION}."
        raise _refused("jsonl_not_object", row, line, cause=cause, fix=fix)
    return value


def _refused(code: str, row: int, line: str, *, cause: str, fix: str) -> Invalid:
    """Begins with OpenAI's own words, which programs look for."""
    return refusals.refuse(
        code,
        row=row,
        lead="Expected file to have JSONL format, where every line is a JSON dictionary. "
        f'Line {row} is not a dictionary (HINT: line starts with: "{line.strip()[:_HINT_CHARS]}..."). ',
        cause=f"{cause}; the line starts with {refusals.quoted(line[:100])}.",
        fix=fix,
    )


def _reason(error: orjson.JSONDecodeError) -> str:
    return f"{error.msg} at character {error.pos + 1}" if "character" not in error.msg else error.msg
