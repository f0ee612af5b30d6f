"""CSV as spreadsheets write it: quoted cells over many lines, comma, semicolon, tab or bar, with or without a BOM.

A record's number is the spreadsheet's own: the header is row 1, blank records count, a cell with line breaks does not
make more rows.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO

from core.datasets.formats import encodings, refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.records import SKIMMED_AT_ONCE, Cells, CellsRecord, Passed
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS

_DELIMITERS = ",;\t|"
# what some programs write above the header to tell Excel
_SEPARATOR_TOLD = re.compile(r"sep=([,;\t|])\s*")
# a process-wide number of the standard library; ours is the larger and bounds each record anyway
csv.field_size_limit(MAX_RECORD_BYTES)


def open_cells(stream: BinaryIO, *, delimiters: str = _DELIMITERS) -> Cells:
    text, notices = encodings.in_utf8(stream)
    records = _Records(text, delimiters)
    return Cells(records.read(), text.tell, notices, records.skim)


def read_records(stream: BinaryIO, *, delimiters: str = _DELIMITERS) -> Iterator[CellsRecord]:
    """Every record that is not blank, the header first. Raises Invalid at the first byte that breaks a rule."""
    return _Records(stream, delimiters).read()


class _Records:
    def __init__(self, stream: BinaryIO, delimiters: str) -> None:
        self._delimiters = delimiters
        self._position = Position()
        self._record_chars = 0
        self._cells = self._rows(stream)

    def read(self) -> Iterator[CellsRecord]:
        position = self._position
        for cells in self._cells:
            row = position.row
            self._next()
            if any(cell.strip() for cell in cells):
                yield CellsRecord(row, cells)

    def skim(
        self, is_sound: Callable[[Any], bool], passed: Passed, is_enough: Callable[[], bool]
    ) -> Iterator[CellsRecord]:
        position = self._position
        num_records = num_chars = 0
        for cells in self._cells:
            row = position.row
            if is_sound(cells):
                num_records += 1
                num_chars += self._record_chars
                self._next()
            else:
                self._next()
                if any(cell.strip() for cell in cells):
                    passed.add(num_records, num_chars)
                    num_records = num_chars = 0
                    yield CellsRecord(row, cells)
            if row % SKIMMED_AT_ONCE == 0:
                passed.add(num_records, num_chars)
                num_records = num_chars = 0
                if is_enough():
                    return
        passed.add(num_records, num_chars)

    def _next(self) -> None:
        if self._position.row > MAX_ROWS + 1:
            raise refusals.too_many_rows(self._position.row)
        self._position.row += 1
        self._record_chars = 0

    def _rows(self, stream: BinaryIO) -> Iterator[list[str]]:
        lines = text_lines(stream, self._position)
        first = next(lines, None)
        if first is None:
            return
        told = _SEPARATOR_TOLD.fullmatch(first)
        if told is not None:
            self._position.row += 1
            first = next(lines, "")
        delimiter = told[1] if told is not None else _delimiter(first, self._delimiters)
        reader = csv.reader(self._bounded(chain([first], lines)), delimiter=delimiter, strict=True)
        try:
            yield from reader
        except csv.Error as error:
            raise _malformed(self._position.row, str(error)) from error

    def _bounded(self, lines: Iterable[str]) -> Iterator[str]:
        """Lines, until one record has drunk more than a record may hold: a quotation mark was never closed."""
        for line in lines:
            self._record_chars += len(line)
            if self._record_chars > MAX_RECORD_BYTES:
                raise refusals.line_too_long(self._position.row)
            yield line


def _delimiter(header: str, delimiters: str) -> str:
    """The one that cuts the first line into most cells; the first of them when none does."""
    return max(delimiters, key=lambda delimiter: _num_cells(header, delimiter))


def _num_cells(line: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), []))
    except csv.Error:
        # the reader of the whole file will say why
        return 0


def _malformed(row: int, reason: str) -> Exception:
    if "unexpected end of data" in reason:
        return refusals.refuse(
            "quote_not_closed",
            row=row,
            cause="A quotation mark opens a cell and is never closed.",
            fix='Close it, or write a quotation mark inside a cell twice ("").',
        )
    if "new-line character" in reason:
        return refusals.refuse(
            "csv_malformed",
            row=row,
            cause="A line ends in a way that only very old programs use (a carriage return alone).",
            fix='Save the file again; in Excel: Save as, "CSV UTF-8".',
        )
    return refusals.refuse(
        "csv_malformed",
        row=row,
        cause=f"The quotation marks are not as CSV has them ({reason}).",
        fix='Put a cell that holds quotation marks or commas between "…" and write each mark inside it twice ("").',
    )
