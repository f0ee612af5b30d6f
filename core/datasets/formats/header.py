"""The first row of a table: the names of its columns."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from core.datasets.formats import refusals
from core.datasets.formats.records import CellsRecord
from core.datasets.formats.refusals import MAX_COLUMNS

_NUM_ROWS_BELOW: Final = 20


def read_header(records: Iterator[CellsRecord]) -> list[str]:
    """The column names, trimmed; a nameless column is called by its place. Raises if it cannot be a header."""
    record = next(records, None)
    if record is None:
        raise refusals.file_empty()
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(record.cells, start=1)]
    if len(names) == 1:
        if any(len(below.cells) > 1 for below in islice(records, _NUM_ROWS_BELOW)):
            raise refusals.refuse(
                "header_missing",
                row=record.row,
                cause=f"The first row is one cell, {refusals.quoted(names[0])}, and there are more in the rows below: "
                "it looks like a title, not like column names.",
                fix="Delete what stands above the row that names the columns.",
            )
        raise refusals.refuse(
            "too_few_columns",
            row=record.row,
            column=names[0],
            cause="There is one column; an example needs a question and an answer.",
            fix="Add a second column. In a .csv file, commas stand between the columns.",
        )
    if len(names) > MAX_COLUMNS:
        raise refusals.too_many_columns(record.row, len(names))
    return names


def refuse_duplicate_names(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name.casefold() in seen:
            raise refusals.refuse(
                "header_duplicate",
                row=1,
                column=name,
                cause=f"Two columns are called {refusals.quoted(name)}.",
                fix="Give every column its own name.",
            )
        seen.add(name.casefold())
