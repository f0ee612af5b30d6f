"""One JSON document with a list of objects: the document itself, or one value of the object that it is.

It is read as it comes, one item at a time: an item may be as long as a line of JSON lines, the document as long as any
file. A row's number is the item's place in the list. Where a name stands twice in an object, the last one counts, as in
JSON lines.
"""

import codecs
import json
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from typing import Any, BinaryIO, Final, NoReturn

from core.datasets.formats import encodings, jsonl, refusals
from core.datasets.formats.lines import refuse_binary
from core.datasets.formats.records import ObjectRecord, Objects
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS
from core.datasets.formats.rejoined import Rejoined, as_binary

_CHUNK_BYTES: Final = 256 * 1024
# `false`, or an escape in a string, cut by the end of a chunk
_LONGEST_WORD: Final = 16
_BLANKS: Final = " \t\r\n"
_LISTED: Final = '[{"question": "…", "answer": "…"}, …]'


def open_objects(stream: BinaryIO) -> Objects:
    """What is called .json and is JSON lines is read as that."""
    text, notices = encodings.in_utf8(stream)
    head = text.read(MAX_RECORD_BYTES)
    refuse_binary(head)
    whole = as_binary(Rejoined(head, text))
    if _is_of_lines(head):
        return jsonl.objects_of(whole, notices)
    document = _Document(whole)
    return Objects(document.items(), lambda: document.num_bytes, notices)


def _is_of_lines(head: bytes) -> bool:
    """Whether the first line is an object, and another follows."""
    lines = [line for line in head.removeprefix(codecs.BOM_UTF8).splitlines() if line.strip()][:2]
    if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines):  # noqa: PLR2004 - this and another
        return False
    try:
        return isinstance(json.loads(lines[0]), dict)
    except (ValueError, RecursionError):
        return False


class _Document:
    """A cursor over text that is read on as it is needed; `_text` is what is not behind it yet."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json.JSONDecoder()
        self._text, self._at = "", 0
        self._line, self._is_over = 1, False
        self.num_bytes = 0
        self._row = 0

    def items(self) -> Iterator[ObjectRecord]:
        first = self._peek()
        if first == "":
            return
        if first == "[":
            yield from self._list()
        elif first == "{":
            yield from self._of_object()
        else:
            self._malformed("It begins with neither a list nor an object")
        if self._peek() != "":
            self._malformed("Something follows after its end")

    def _of_object(self) -> Iterator[ObjectRecord]:
        self._at += 1
        is_found = False
        while self._peek() != "}":
            name = self._value()
            if not isinstance(name, str):
                self._malformed("A name was expected")
            self._take(":")
            if self._peek() == "[" and self._begins_objects():
                if is_found:
                    raise refusals.refuse(
                        "json_unfit",
                        row=None,
                        cause=f"Two values of the object are lists of objects; the second is {refusals.quoted(name)}.",
                        fix=f"Keep one list, as {_LISTED}.",
                    )
                is_found = True
                yield from self._list()
            elif self._peek() == "[":
                self._skip_list()
            else:
                self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "}":
                self._malformed("A comma or the object's end was expected")
        self._at += 1
        if not is_found:
            raise refusals.refuse(
                "json_unfit",
                cause="The document is one object, and none of its values is a list of objects.",
                fix=f"Write the examples as {_LISTED}, or one object on each line in a .jsonl file.",
            )

    def _begins_objects(self) -> bool:
        begin = self._at
        self._at += 1
        is_object = self._peek() == "{"
        # what was read on is still there: nothing is dropped while looking ahead
        self._at = begin
        return is_object

    def _skip_list(self) -> None:
        self._at += 1
        while self._peek() != "]":
            self._value()
            if self._peek() == ",":
                self._at += 1
            elif self._peek() != "]":
                self._malformed("A comma or the list's end was expected")
        self._at += 1

    def _list(self) -> Iterator[ObjectRecord]:
        self._at += 1
        while self._peek() != "]":
            self._row += 1
            if self._row > MAX_ROWS:
                raise refusals.too_many_rows(self._row)
            value = self._value()
            if not isinstance(value, dict):
                raise refusals.refuse(
                    "json_unfit",
                    row=self._row,
                    cause=f"The item on line {self._line} is no object.",
                    fix=f"Write the examples as {_LISTED}.",
                )
            yield ObjectRecord(self._row, value)
            if self._peek() == ",":
                self._at += 1
                if self._peek() == "]":
                    self._malformed("A comma stands before the list's end")
            elif self._peek() != "]":
                self._malformed("A comma or the list's end was expected")
        self._at += 1

    def _value(self) -> Any:  # noqa: ANN401 - any JSON
        """The next one, whole; bounded, since nothing else bounds it."""
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except JSONDecodeError as error:
                self._refuse_unless_cut(error)
            except RecursionError as error:
                self._malformed("It is nested too deeply", error)
            else:
                # a number may go on in the next chunk
                if end < len(self._text) or self._is_over:
                    self._advance(end)
                    return value
            self._read_on()

    def _refuse_unless_cut(self, error: JSONDecodeError) -> None:
        """What cannot be read may only not be here whole yet; as long as it may be."""
        is_too_long = len(self._text) - self._at > MAX_RECORD_BYTES
        is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _LONGEST_WORD
        if is_too_long and is_cut and not self._is_over:
            raise refusals.line_too_long(max(1, self._row))
        if is_too_long or self._is_over:
            self._malformed(f"{error.msg} at character {error.colno}", error)

    def _take(self, wanted: str) -> None:
        if self._peek() != wanted:
            self._malformed(f'"{wanted}" was expected')
        self._at += 1

    def _peek(self) -> str:
        """The next character that is no blank; none at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                self._line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_over:
                return ""
            self._read_on()

    def _advance(self, end: int) -> None:
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _read_on(self) -> None:
        chunk = self._stream.read(_CHUNK_BYTES)
        self.num_bytes += len(chunk)
        self._is_over = not chunk
        if b"\0" in chunk:
            raise refusals.not_text(max(1, self._row))
        try:
            text = self._decoder.decode(chunk, final=self._is_over)
        except UnicodeDecodeError as error:
            where = f"byte 0x{error.object[error.start]:02x} near line {self._line}"
            raise refusals.not_utf8(max(1, self._row), where) from error
        self._text, self._at = self._text[self._at :] + text, 0

    def _malformed(self, reason: str, error: Exception | None = None) -> NoReturn:
        shown = refusals.quoted(self._text[self._at : self._at + 100])
        raise refusals.refuse(
            "json_malformed",
            row=max(1, self._row),
            cause=f"The file is not valid JSON: {reason}, on line {self._line} or soon after, where {shown} begins.",
            fix="Export it again, or write each example as one JSON object on one line of a .jsonl file.",
        ) from error
