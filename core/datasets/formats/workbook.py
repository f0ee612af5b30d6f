"""Workbooks (.xlsx, .ods): the first sheet that holds something. A row's number is the sheet's own."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    XmlError,
    ZipError,
)

from core.datasets.formats import packing, refusals
from core.datasets.formats.records import Cells, CellsRecord
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS
from core.datasets.types import Notice
from core.errors import Invalid


def open_cells(stream: BinaryIO) -> Cells:
    file = packing.on_disk(stream)
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        names = [
            sheet.name
            for sheet in workbook.sheets_metadata
            if sheet.visible is SheetVisibleEnum.Visible and sheet.typ is SheetTypeEnum.WorkSheet
        ]
        for name in names:
            sheet = workbook.get_sheet_by_name(name)
            if sheet.total_height > 0:
                return _opened(sheet, names)
    except PasswordError as error:
        raise refusals.refuse(
            "workbook_broken",
            cause="The workbook is protected by a password.",
            fix="Save it without a password, then upload that file.",
        ) from error
    except (CalamineError, ZipError, XmlError, OSError, ValueError) as error:
        raise _broken(error) from error
    raise refusals.file_empty()


def _opened(sheet: CalamineSheet, names: list[str]) -> Cells:
    rows = _Rows(sheet)
    notices: tuple[Notice, ...] = ()
    if len(names) > 1:
        notice = Notice(
            code="sheet_chosen",
            text=f"The workbook has {len(names)} sheets. What is read is {refusals.quoted(sheet.name)}, the first that "
            "holds something; to use another, save it as a file of its own.",
        )
        notices = (notice,)
    return Cells(rows.read(), lambda: rows.num_chars, notices)


class _Rows:
    def __init__(self, sheet: CalamineSheet) -> None:
        self._sheet = sheet
        self.num_chars = 0

    def read(self) -> Iterator[CellsRecord]:
        # rows above the first are there, columns before the first are not
        for number, values in enumerate(self._sheet.iter_rows(), start=1):
            cells = [_shown(value) for value in values]
            num_chars = sum(map(len, cells))
            if num_chars == 0 or not any(cell.strip() for cell in cells):
                continue
            if num_chars > MAX_RECORD_BYTES:
                raise refusals.line_too_long(number)
            if number > MAX_ROWS + 1:
                raise refusals.too_many_rows(number)
            self.num_chars += num_chars
            while not cells[-1].strip():
                cells.pop()
            yield CellsRecord(number, cells)


def _shown(value: Any) -> str:  # noqa: ANN401 - whatever a cell may hold
    """As the sheet shows it, near enough: whole numbers without a point, dates as ISO has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)  # noqa: PLR2004 - exact
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, int | timedelta) else ""


def _broken(error: Exception) -> Invalid:
    return refusals.refuse(
        "workbook_broken",
        cause=f"The workbook cannot be read ({refusals.quoted(str(error))}).",
        fix="Open it, save it again as .xlsx, then upload that file; or save the sheet as CSV UTF-8.",
    )
