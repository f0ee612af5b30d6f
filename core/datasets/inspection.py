"""The first look at a file, while its owner waits: what are its columns, how do its rows read, what is wrong."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Final

from core.datasets import proposals
from core.datasets.examples import NUM_ROWS_LOOKED_AT, Example, Table
from core.datasets.formats import refusals
from core.datasets.formats.records import Cells, Opened
from core.datasets.formats.refusals import MIN_ROWS
from core.datasets.formats.registry import open_book, open_file
from core.datasets.types import (
    MAX_PROBLEMS_SHOWN,
    Column,
    FileFormat,
    Inspection,
    Mapping,
    Notice,
    Problem,
    SampleRow,
)
from core.errors import Invalid

if TYPE_CHECKING:
    from core.datasets.formats.workbook import Book

_MIB = 1024 * 1024
_NUM_SAMPLE_ROWS = 5
_NUM_SAMPLE_VALUES = 3
_MAX_SAMPLE_CHARS = 300
_MAX_SHEETS, _SEVERAL = 1000, 2
# of sheets that hold no examples so many are passed over, and none any more once so much was computed
_MAX_PASSED_OVER, _MAX_PASSING_S = 20, 3.0
_NO_EXAMPLES: Final = frozenset({"file_empty", "too_few_rows", "too_few_columns"})


@dataclass(frozen=True, slots=True)
class Portion:
    """How much is read: so many rows that are looked at closely, and as many whole ones as begin in so many bytes.

    With `skimmed_bytes` those in which surely nothing is wrong are but parsed, and the file is read so far. After
    `max_s` it is enough in any case: a store that is slow, or a machine that is busy, is no fault of the file.
    """

    num_records: int
    num_bytes: int
    skimmed_bytes: int = 0
    max_s: float | None = None

    def is_of(self, table: Table, *, after_s: float = 0) -> bool:
        """Whether the table was read so far, or for so long."""
        if self.max_s is not None and after_s >= self.max_s:
            return True
        num_bytes, passed = table.num_bytes_read(), table.passed
        return (
            table.num_records - passed.num_records >= self.num_records
            or num_bytes - passed.num_bytes >= self.num_bytes
            or num_bytes >= max(self.num_bytes, self.skimmed_bytes)
        )


# about a second's worth of reading, and three; a dataset version reads everything
FIRST_LOOK = Portion(200_000, 32 * _MIB, skimmed_bytes=32 * _MIB)
VALIDATED = Portion(200_000, 32 * _MIB, skimmed_bytes=1024 * _MIB, max_s=30)


def inspect(
    stream: BinaryIO,
    file_format: FileFormat,
    *,
    mapping: Mapping | None = None,
    reads_all: bool = False,
    portion: Portion = FIRST_LOOK,
) -> Inspection:
    """Read a portion of a file, or all of it. Without a mapping, a table has the one proposed.

    Of a workbook the sheet that the mapping says; without one, the first that can hold examples, since a title or an
    explanation may stand before it. Of messages whose assistant is not known yet, only those who speak are found.
    Raises Invalid if the file cannot be used as a whole, or if the mapping does not fit it.
    """
    sheet, said = (None, None) if mapping is None else mapping.apart()

    def look(opened: Opened) -> Inspection:
        try:
            return _inspected(Table(opened), file_format, said, reads_all=reads_all, portion=portion)
        except Invalid as error:
            raise _with_sheet(error, opened) from error

    book = open_book(stream, file_format) if mapping is None else None
    return look(open_file(stream, file_format, sheet=sheet)) if book is None else _of_book(book, look)


def _of_book(book: "Book", look: Callable[[Opened], Inspection]) -> Inspection:
    """Raises what is wrong with the first table, or, where no sheet has one, with the first sheet."""
    refused: list[Invalid] = []
    began_s = time.process_time()
    for cells in book.held():
        try:
            found = look(cells)
        except Invalid as error:
            if error.error_code not in _NO_EXAMPLES:
                raise
            refused.append(error)
            if len(refused) > _MAX_PASSED_OVER or time.process_time() - began_s > _MAX_PASSING_S:
                break
        else:
            return found.model_copy(update={"notices": [*found.notices, *_told_of_sheets(book, cells, refused)]})
    raise refused[0] if refused else refusals.file_empty()


def _told_of_sheets(book: "Book", cells: Cells, refused: list[Invalid]) -> list[Notice]:
    if len(book.names) < _SEVERAL:
        return []
    passed = f" Before it, {len(refused)} had no table of examples." if refused else ""
    name = refusals.quoted(cells.sheet or "")
    text = (
        f"The workbook has {len(book.names):,} sheets. {name} is read, the first that can hold examples.{passed} "
        "Another can be chosen (`sheet` of the mapping)."
    )
    return [Notice(code="sheet_chosen", text=text)]


def _with_sheet(error: Invalid, opened: Opened) -> Invalid:
    """What is wrong with a sheet, if there are several."""
    if not isinstance(opened, Cells) or len(opened.sheets) < _SEVERAL or "cause" not in error.details:
        return error
    told = error.details | {"cause": f"On the sheet {refusals.quoted(opened.sheet or '')}: {error.details['cause']}"}
    return refusals.refuse(error.error_code, **told)


def _inspected(
    table: Table, file_format: FileFormat, mapping: Mapping | None, *, reads_all: bool, portion: Portion
) -> Inspection:
    proposed = proposals.propose(table.columns, table.first_rows) if table.columns else None
    wanted = proposed if mapping is None else mapping
    sheets, sheet = list(table.sheets[:_MAX_SHEETS]), table.sheet
    began_s = time.monotonic()

    def is_enough() -> bool:
        return not reads_all and portion.is_of(table, after_s=time.monotonic() - began_s)

    if wanted is not None and wanted.missing() == ["assistant_speakers"]:
        table.hear(wanted, is_enough=is_enough)
        found = _Found(num_rows=table.num_records)
    else:
        if mapping is None and proposed is not None and not proposed.missing():
            mapping = proposed
        found = _look(table, mapping, is_enough, skims=reads_all or portion.skimmed_bytes > 0)
    # how many examples a table makes, its mapping decides, which can still be changed
    if table.is_complete and table.num_records < MIN_ROWS:
        raise refusals.too_few_rows(table.num_records, table.kind)
    return Inspection(
        format=file_format,
        sheets=sheets,
        sheet=sheet,
        kind=table.kind,
        shape=table.shape,
        columns=_columns(table, proposed or Mapping()),
        num_rows=found.num_rows,
        num_records=table.num_records,
        is_complete=table.is_complete,
        sample=found.sample,
        mapping=mapping if mapping is None or len(sheets) < _SEVERAL else mapping.in_sheet(sheet),
        speakers=table.speakers,
        problems=found.problems,
        num_problems=found.num_problems,
        notices=table.notices,
    )


@dataclass(slots=True)
class _Found:
    num_rows: int = 0
    num_problems: int = 0
    sample: list[SampleRow] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def note(self, example: Example) -> None:
        self.num_rows += 1
        if example.problem is not None:
            self.num_problems += 1
            if len(self.problems) < MAX_PROBLEMS_SHOWN:
                self.problems.append(example.problem)
        elif example.content is not None and len(self.sample) < _NUM_SAMPLE_ROWS:
            self.sample.append(SampleRow(row=example.row, **example.content.dump_content()))


def _look(table: Table, mapping: Mapping | None, is_enough: Callable[[], bool], *, skims: bool) -> _Found:
    found = _Found()
    is_of_threads = mapping is not None and mapping.is_thread
    is_mapped = mapping is not None or not table.columns
    for example in table.examples(mapping, is_enough=is_enough):
        found.note(example)
        if skims and not is_of_threads and (len(found.sample) == _NUM_SAMPLE_ROWS or not is_mapped):
            break
    else:
        return found
    for example in table.skim(mapping, is_enough=is_enough):
        found.note(example)
    found.num_rows += table.passed.num_records
    return found


def _columns(table: Table, proposed: Mapping) -> list[Column]:
    role_of = {name: role for role, name in proposed.columns().items()}
    return [
        Column(name=name, sample_values=_sample_values(table, index), role_suggestion=role_of.get(name))
        for index, name in enumerate(table.columns)
    ]


def _sample_values(table: Table, index: int) -> list[str]:
    cells = (row[index].strip() for row in table.first_rows[:NUM_ROWS_LOOKED_AT] if index < len(row))
    # JSON can spell a zero character that no text column can hold
    return [cell[:_MAX_SAMPLE_CHARS].replace("\0", "") for cell in dict.fromkeys(cells) if cell][:_NUM_SAMPLE_VALUES]
