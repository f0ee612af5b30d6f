"""Rows as an Excel workbook of one sheet. Every cell is a text, so nothing in it is ever run."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from xlsxwriter import Workbook

MAX_CELL_CHARS: Final = 32_767
"""What a cell of Excel's holds."""
_CUT = " […] cut here: a cell of a workbook holds no more. It is whole as CSV, or as JSON lines."
_CHUNK_BYTES = 2**18
_OPTIONS: Final = {
    # a row is forgotten once it is written, whatever their number
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}


def written(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[bytes]:
    """The file, from a temporary one: a workbook is a zip, whose beginning is known at its end."""
    with tempfile.TemporaryFile() as file:
        with Workbook(file, _OPTIONS) as workbook:
            sheet = workbook.add_worksheet("Examples")
            sheet.freeze_panes(1, 0)
            bold = workbook.add_format({"bold": True})
            for column, name in enumerate(header):
                sheet.write_string(0, column, name, bold)
            for number, row in enumerate(rows, start=1):
                for column, cell in enumerate(row):
                    sheet.write_string(number, column, _fitting(cell))
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _fitting(cell: str) -> str:
    if len(cell) <= MAX_CELL_CHARS:
        return cell
    return cell[: MAX_CELL_CHARS - len(_CUT)] + _CUT
