"""CSV as spreadsheets write it: quoted cells over many lines, comma, semicolon, tab or bar, with or without a BOM.

A record's number is the spreadsheet's own: the header is row 1, blank records count, a cell with line breaks does not
make more rows.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from core.datasets.formats import encodings, refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.records import Cells, CellsRecord
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS

_DELIMITERS = ",;\t|"
# what some programs write above the header to tell Excel
_SEPARATOR_TOLD = re.compile(r"sep=([,;\t|])\s*")
# a process-wide number of the standard library; ours is the larger and bounds each record anyway
csv.field_size_limit(MAX_RECORD_BYTES)


def open_cells(stream: BinaryIO, *, delimiters: str = _DELIMITERS) -> Cells:
    text, notices = encodings.in_utf8(stream)
    return Cells(read_records(text, delimiters=delimiters), text.tell, notices)


def read_records(stream: BinaryIO, *, delimiters: str = _DELIMITERS) -> Iterator[CellsRecord]:
    """Every record that is not blank, the header first. Raises Invalid at the first byte that breaks a rule."""
    records = _Records(stream, delimiters)
    return records.read()


class _Records:
    def __init__(self, stream: BinaryIO, delimiters: str) -> None:
        self._delimiters = delimiters
        self._position = Position()
        self._record_bytes = 0
        self._lines = text_lines(stream, self._position)

    def read(self) -> Iterator[CellsRecord]:
        first = next(self._lines, None)
        if first is None:
            return
        told = _SEPARATOR_TOLD.fullmatch(first)
        if told is not None:
            self._position.row += 1
            first = next(self._lines, "")
        delimiter = told[1] if told is not None else _delimiter(first, self._delimiters)
        reader = csv.reader(self._bounded(first), delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield CellsRecord(self._position.row, cells)
                self._position.row += 1
                self._record_bytes = 0
                if self._position.row > MAX_ROWS + 1:
                    raise refusals.too_many_rows(self._position.row)
        except csv.Error as error:
            raise _malformed(self._position.row, str(error)) from error

    def _bounded(self, first: str) -> Iterator[str]:
        """Lines, until one record has drunk more than a record may hold: a quotation mark was never closed."""
        yield from self._counted(first)
        for line in self._lines:
            yield from self._counted(line)

    def _counted(self, line: str) -> Iterator[str]:
        self._record_bytes += len(line)
        if self._record_bytes > MAX_RECORD_BYTES:
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
