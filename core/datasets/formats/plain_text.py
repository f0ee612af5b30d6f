"""Plain text and Markdown to rows: whole paragraphs, short ones together, a heading with what it heads.

A row's number is that of its first line. Lengths are in characters; four are about a token.
"""

from collections.abc import Iterator
from typing import BinaryIO

from core.datasets.formats import encodings, refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.records import TextRecord, Texts
from core.datasets.formats.refusals import MAX_ROWS

# a row ends with the paragraph that brings it to this length: enough before each word to learn from
_ENOUGH_CHARS = 1_000
# ... and within a paragraph, at a line's end, where a text has no blank lines
_LONG_CHARS = 2_000
# a heading begins a row unless the one before would be about nothing but a heading
_SECTION_CHARS = 250


def open_texts(stream: BinaryIO, *, is_markdown: bool) -> Texts:
    text, notices = encodings.in_utf8(stream)
    return Texts(read_texts(text, is_markdown=is_markdown), text.tell, notices)


def read_texts(stream: BinaryIO, *, is_markdown: bool) -> Iterator[TextRecord]:
    """Every part of the text, in order; nothing is left out but blank lines around each. Raises Invalid."""
    position = Position()
    lines: list[str] = []
    first_row, num_rows, num_chars, is_in_code = 1, 0, 0, False
    for line in text_lines(stream, position):
        is_blank = not line.strip()
        begins_section = is_markdown and not is_in_code and line.startswith("#")
        if is_markdown and line.lstrip().startswith("```"):
            is_in_code = not is_in_code
        is_full = (is_blank and num_chars >= _ENOUGH_CHARS) or num_chars >= _LONG_CHARS
        if lines and (is_full or (begins_section and num_chars >= _SECTION_CHARS)):
            yield TextRecord(first_row, "".join(lines))
            lines, num_chars, num_rows = [], 0, num_rows + 1
            if num_rows >= MAX_ROWS:
                raise refusals.too_many_rows(position.row)
        if lines or not is_blank:
            if not lines:
                first_row = position.row
            lines.append(line)
            num_chars += len(line)
        position.row += 1
    if any(line.strip() for line in lines):
        yield TextRecord(first_row, "".join(lines))
