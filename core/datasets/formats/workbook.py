"""Workbooks (.xlsx, .xls, .ods): a sheet of them. A row's number is the sheet's own.

Hidden sheets are overlooked: who hides one hardly means it to be learned. So are those that no mapping could name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO, Final

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
    WorksheetNotFound,
    XmlError,
    ZipError,
)

from core.datasets.formats import packing, refusals
from core.datasets.formats.records import Cells, CellsRecord
from core.datasets.formats.refusals import MAX_RECORD_BYTES, MAX_ROWS
from core.datasets.types import MAX_SHEET_NAME_CHARS
from core.errors import Invalid

_MAX_SHEETS_NAMED: Final = 100


class Book:
    """A workbook whose sheets are opened one by one."""

    def __init__(self, stream: BinaryIO) -> None:
        """Raises Invalid for what is no workbook, or a protected one."""
        with _told():
            self._workbook = CalamineWorkbook.from_filelike(packing.on_disk(stream))
            found = self._workbook.sheets_metadata
        sheets = [sheet for sheet in found if sheet.typ is SheetTypeEnum.WorkSheet and _can_be_named(sheet.name)]
        shown = [sheet.name for sheet in sheets if sheet.visible is SheetVisibleEnum.Visible]
        self.names = tuple(dict.fromkeys(shown))
        self._hidden = {sheet.name for sheet in sheets} - set(shown)

    def open(self, name: str) -> Cells:
        """Raises Invalid for a sheet that is not there, does not show, or is empty."""
        if name not in self.names:
            raise self._unknown(name)
        found = self._opened(name)
        if found is None:
            others = [other for other in self.names if other != name]
            raise Invalid(
                f"The sheet {refusals.quoted(name)} is empty. "
                + (f"Choose another: {_listed(others)}." if others else "Fill it, and upload the workbook again."),
                code="sheet_empty",
                param="mapping.sheet",
                details={"sheets": others[:_MAX_SHEETS_NAMED]},
            )
        return found

    def held(self) -> Iterator[Cells]:
        """Those sheets that hold something, each opened when it is asked for."""
        return (cells for cells in map(self._opened, self.names) if cells is not None)

    def _opened(self, name: str) -> Cells | None:
        with _told():
            sheet = self._workbook.get_sheet_by_name(name)
        if sheet.total_height == 0:
            return None
        rows = _Rows(sheet)
        return Cells(rows.read(), lambda: rows.num_chars, sheets=self.names, sheet=name)

    def _unknown(self, name: str) -> Invalid:
        cause = "is hidden, and hidden sheets are not read" if name in self._hidden else "is not there"
        fix = "Show it and upload the workbook again, or choose" if name in self._hidden else "Choose"
        return Invalid(
            f"The sheet {refusals.quoted(name)} {cause}. {fix} one of: {_listed(self.names)}.",
            code="sheet_unknown",
            param="mapping.sheet",
            details={"sheets": list(self.names[:_MAX_SHEETS_NAMED])},
        )


def open_cells(stream: BinaryIO, *, sheet: str | None = None) -> Cells:
    """Of the sheet, or else the first that holds something."""
    book = Book(stream)
    found = next(book.held(), None) if sheet is None else book.open(sheet)
    if found is None:
        raise refusals.file_empty()
    return found


def _can_be_named(name: str) -> bool:
    return 1 <= len(name) <= MAX_SHEET_NAME_CHARS and "\0" not in name


def _listed(names: list[str] | tuple[str, ...]) -> str:
    shown = ", ".join(refusals.quoted(name) for name in names[:_MAX_SHEETS_NAMED])
    return f"{shown} and {len(names) - _MAX_SHEETS_NAMED:,} more" if len(names) > _MAX_SHEETS_NAMED else shown


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PasswordError as error:
        raise refusals.refuse(
            "workbook_broken",
            cause="The workbook is protected by a password.",
            fix="Save it without a password, then upload that file.",
        ) from error
    except (CalamineError, ZipError, XmlError, WorksheetNotFound, OSError, ValueError) as error:
        raise _broken(error) from error


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
