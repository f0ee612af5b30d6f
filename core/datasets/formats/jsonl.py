"""JSON lines: one object a line, of whatever kind."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO, Final

import orjson

from core.datasets.formats import encodings, refusals
from core.datasets.formats.lines import Position, decoded, text_lines
from core.datasets.formats.records import SKIMMED_AT_ONCE, ObjectRecord, Objects, Passed
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS
from core.datasets.types import Notice
from core.errors import Invalid

_HINT_CHARS = 20
_ZERO: Final = rb"\u0000"
_CONVERSATION = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


def open_objects(stream: BinaryIO) -> Objects:
    text, notices = encodings.in_utf8(stream)
    return objects_of(text, notices)


def objects_of(text: BinaryIO, notices: tuple[Notice, ...] = ()) -> Objects:
    """Of a text in UTF-8. Every line that is not blank; raises Invalid at the first that breaks a rule."""
    lines = _Lines(text)
    return Objects(lines.read(), text.tell, notices, lines.skim)


class _Lines:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._position = Position()

    def read(self) -> Iterator[ObjectRecord]:
        position = self._position
        for line in text_lines(self._stream, position):
            row = position.row
            position.row += 1
            if line.strip():
                yield _record(row, line)

    def skim(
        self, is_sound: Callable[[Any], bool], passed: Passed, is_enough: Callable[[], bool]
    ) -> Iterator[ObjectRecord]:
        row = begin = self._position.row
        num_bytes = 0
        for line in iter(partial(self._stream.readline, MAX_RECORD_BYTES + 1), b""):
            try:
                is_passed = is_sound(orjson.loads(line))
            except orjson.JSONDecodeError:
                is_passed = False
            # a zero character, which JSON can spell, is for whoever looks closer; most lines spell nothing, and to look
            # for one byte takes a twentieth of the time
            has_zero = b"\\" in line and _ZERO in line
            if is_passed and len(line) <= MAX_RECORD_BYTES and row <= MAX_ROWS and not has_zero:
                num_bytes += len(line)
            else:
                passed.add(row - begin, num_bytes)
                begin, num_bytes = row + 1, 0
                text = decoded(line, row)
                if text.strip():
                    yield _record(row, text)
            row += 1
            if row % SKIMMED_AT_ONCE == 0:
                passed.add(row - begin, num_bytes)
                begin, num_bytes = row, 0
                if is_enough():
                    return
        passed.add(row - begin, num_bytes)


def _record(row: int, line: str) -> ObjectRecord:
    if row > MAX_ROWS:
        raise refusals.too_many_rows(row)
    return ObjectRecord(row, _object(row, line))


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
