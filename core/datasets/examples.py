"""Records of any format to examples: what a row holds, or what is wrong with the row."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final, TypeVar

from core.datasets import columns, mapped, rows
from core.datasets.formats import header, preferences, refusals
from core.datasets.formats.records import (
    Cells,
    CellsRecord,
    ObjectRecord,
    Objects,
    Opened,
    Passed,
    Record,
    TextRecord,
    Texts,
)
from core.datasets.shapes.openai_chat import OPENAI_CHAT
from core.datasets.shapes.plain_text import PLAIN_TEXT
from core.datasets.shapes.preference import PREFERENCE
from core.datasets.shapes.registry import shape_of
from core.datasets.shapes.shape import LineShape
from core.datasets.threads import Heard, Threads
from core.datasets.times import written_in
from core.datasets.types import Mapping, Problem, RowContent, RowKind, Severity, Shape, Speaker

# as many rows as are looked at to tell what a table's columns are
NUM_ROWS_LOOKED_AT = 200
_MAX_BYTES_LOOKED_AT = 4 * 1024 * 1024

R = TypeVar("R")
# as the API and our own files write a row of each kind
_SHAPES: Final = {RowKind.CHAT: OPENAI_CHAT, RowKind.PREFERENCE: PREFERENCE, RowKind.TEXT: PLAIN_TEXT}


@dataclass(frozen=True, slots=True)
class Example:
    """`problem` is an error of this row alone: it is left out. Without a mapping, a table's rows have no content."""

    row: int
    content: RowContent | None
    problem: Problem | None = None
    written_time: str | None = None
    """When it was said, as the file has it; what that means, all of the file together tells (`Times`)."""
    time: float | None = None
    """The same as a number, where it is known."""
    is_undated: bool = False
    """Whether the file tells times and this row's cannot be read."""


class Table:
    """A file's rows, whatever its format; all of one kind.

    `columns` is empty where every row says by itself what it is. Only rows of a table with columns need a mapping;
    they become conversations.
    """

    def __init__(self, opened: Opened) -> None:
        """Reads the first rows. Raises Invalid if the file as a whole is no table of examples."""
        self.first_rows: list[list[str]] = []
        self.kind = RowKind.CHAT
        self.shape = Shape.TABLE
        self.columns: list[str] = []
        self._num_looked_at = 0
        self.is_complete = True
        self.speakers: list[Speaker] = []
        self._shape: LineShape | None = None
        self._names: list[str] = []
        self.passed = Passed()
        """What was skimmed over; it is among `num_records`."""
        self._opened = opened
        self.num_bytes_read = opened.num_bytes_read
        self.notices = list(opened.notices)
        self.sheets, self.sheet = (opened.sheets, opened.sheet) if isinstance(opened, Cells) else ((), None)
        # those that are looked at to tell what the columns are, and are read again
        self._first: Iterator[Record]
        if isinstance(opened, Cells):
            self._first = self._open_cells(opened)
        elif isinstance(opened, Objects):
            self._first = self._open_objects(opened)
        else:
            self._first = self._open_texts(opened)
        self._records: Iterator[Record] = chain(self._first, opened.records)

    def examples(
        self, mapping: Mapping | None, *, is_enough: Callable[[], bool] | None = None, scratch: Path | None = None
    ) -> Iterator[Example]:
        """Every example, once, or those of the rows that are read until it `is_enough`.

        What does not fit into memory is put into the folder `scratch`. Raises Invalid if the mapping does not fit the
        columns, or at what breaks the file.
        """
        if mapping is not None:
            columns.refuse_unfit_mapping(mapping, self.columns)
            self.kind = mapping.kind
        records = self._read(is_enough or (lambda: False))
        if mapping is not None and mapping.is_thread:
            yield from self._of_threads(records, mapping, scratch)
            return
        for record in records:
            yield self._example(record, mapping)

    def skim(self, mapping: Mapping | None, *, is_enough: Callable[[], bool] | None = None) -> Iterator[Example]:
        """What `examples` has left, but those in which surely nothing is wrong: they are counted in `passed`.

        Of files and mappings that cannot be skimmed, all. Raises what `examples` does.
        """
        enough = is_enough or (lambda: False)
        is_sound = self._soundness(mapping)
        skim = None if isinstance(self._opened, Texts) else self._opened.skim
        if skim is None or is_sound is None:
            yield from (self._example(record, mapping) for record in self._read(enough))
            return

        def is_enough_now() -> bool:
            self.is_complete = not enough()
            return not self.is_complete

        for record in chain(self._first, skim(is_sound, self.passed, is_enough_now)):
            self._num_looked_at += 1
            yield self._example(record, mapping)

    def _soundness(self, mapping: Mapping | None) -> Callable[[Any], bool] | None:
        if self._shape is not None:
            return self._shape.is_sound
        if self.shape is Shape.PREFERENCE:
            return None
        return mapped.sound_cells(self._names, mapping) if self._names else mapped.sound_values(mapping)

    @property
    def num_records(self) -> int:
        return self._num_looked_at + self.passed.num_records

    def _read(self, is_enough: Callable[[], bool]) -> Iterator[Record]:
        for record in self._records:
            if is_enough():
                self.is_complete = False
                return
            self._num_looked_at += 1
            yield record

    def _example(self, record: Record, mapping: Mapping | None) -> Example:
        if isinstance(record, TextRecord):
            return _checked(record.row, RowContent(text=rows.clean(record.text)))
        if self._shape is not None and isinstance(record, ObjectRecord):
            found = _checked(record.row, self._of_shape(self._shape, record))
            return replace(found, written_time=written_in(record.values))
        values = self._values(record, mapping)
        if isinstance(values, Problem):
            return Example(record.row, None, values)
        if self.shape is Shape.PREFERENCE:
            found = _checked(record.row, preferences.preference(record.row, dict(values)))
            return replace(found, written_time=written_in(values))
        if mapping is None:
            return Example(record.row, None)
        found = _checked(record.row, mapped.content_of(record.row, values, mapping))
        return found if mapping.time is None else replace(found, written_time=values.get(mapping.time, ""))

    def _of_threads(self, records: Iterator[Record], mapping: Mapping, scratch: Path | None) -> Iterator[Example]:
        """Rows that are messages are read to the end before the first conversation is known to be whole."""
        with contextlib.closing(Threads(mapping, scratch=scratch)) as threads:
            for record in records:
                values = self._values(record, mapping)
                problem = values if isinstance(values, Problem) else threads.add(record.row, values)
                if problem is not None:
                    yield Example(record.row, None, problem)
            self.speakers = threads.heard.most()
            for row, found, time in threads.conversations():
                yield replace(_checked(row, found), time=time)

    def hear(self, mapping: Mapping, *, is_enough: Callable[[], bool]) -> None:
        """Read the rows only to learn who speaks, for a mapping that does not say yet who of them is the assistant."""
        columns.refuse_unfit_mapping(mapping, self.columns, may_lack=["assistant_speakers"])
        self.kind, heard = mapping.kind, Heard()
        for record in self._read(is_enough):
            values = self._values(record, mapping)
            if not isinstance(values, Problem):
                heard.add(values.get(mapping.speaker or "", ""))
        self.speakers = heard.most()

    def _values(self, record: Record, mapping: Mapping | None) -> dict[str, str] | Problem:
        """The cells of a table's row by the names of their columns."""
        if isinstance(record, CellsRecord):
            return self._cells(record)
        if isinstance(record, TextRecord):
            raise TypeError("a text has no columns")
        found = shape_of(record.values)
        if found is not None and found.name is not Shape.TEXT:
            raise _mixed(record.row, "named values, such as question and answer,", found)
        return _named_texts(record, mapping)

    def _of_shape(self, shape: LineShape, record: ObjectRecord) -> RowContent | Problem:
        found = shape_of(record.values)
        if found is not None and found is not shape:
            raise _mixed(record.row, shape.called, found)
        return shape.read(record.row, record.values)

    def _open_texts(self, opened: Texts) -> Iterator[Record]:
        self.kind, self.shape = RowKind.TEXT, Shape.TEXT
        first = next(opened.records, None)
        if first is None:
            raise refusals.file_empty()
        return iter([first])

    def _open_cells(self, opened: Cells) -> Iterator[Record]:
        names = header.read_header(opened.records)
        first = self._first_of(opened.records)
        self.first_rows = [record.cells for record in first]
        found = columns.example_like_cell(names, self.first_rows)
        if found is not None:
            raise refusals.refuse(
                "header_missing",
                row=1,
                column=None,
                cause=f"The first row looks like an example, not like column names: {refusals.quoted(found)}.",
                fix="Put a row above it that names the columns, such as question,answer.",
            )
        header.refuse_duplicate_names(names)
        columns.refuse_unfit_names(names, row=1)
        self._names = names
        folded = [name.casefold() for name in names]
        if preferences.are_columns(folded):
            self.kind, self.shape, self._names = RowKind.PREFERENCE, Shape.PREFERENCE, folded
        else:
            self.columns = names
        return iter(first)

    def _open_objects(self, opened: Objects) -> Iterator[Record]:
        first = self._first_of(opened.records)
        if not first:
            raise refusals.file_empty()
        self._shape = shape_of(first[0].values)
        if self._shape is not None:
            self.kind, self.shape = self._shape.kind, self._shape.name
            return iter(first)
        names = list(dict.fromkeys(name for record in first for name in record.values))
        columns.refuse_unfit_names(names, row=first[0].row)
        if len(names) < 2:  # noqa: PLR2004 - a question and an answer
            raise refusals.refuse(
                "too_few_columns",
                row=first[0].row,
                cause="An example needs a question and an answer, or messages.",
                fix='Write each line like {"question": "…", "answer": "…"}.',
            )
        self.first_rows = [[rows.shown(record.values.get(name)) for name in names] for record in first]
        self.columns = names
        return iter(first)

    def _first_of(self, records: Iterator[R]) -> list[R]:
        """The rows that are looked at; fewer of a few giants, since what is parsed takes many times its bytes."""
        first = []
        for record in islice(records, NUM_ROWS_LOOKED_AT):
            first.append(record)
            if self.num_bytes_read() >= _MAX_BYTES_LOOKED_AT:
                break
        return first

    def _cells(self, record: CellsRecord) -> dict[str, str] | Problem:
        extra = [cell for cell in record.cells[len(self._names) :] if cell.strip()]
        if extra:
            return Problem(
                row=record.row,
                column=None,
                code="too_many_cells",
                cause=f"The row has {len(record.cells)} cells, but there are {len(self._names)} columns.",
                fix='Put a text that holds a comma between quotation marks: "like, this".',
                severity=Severity.ERROR,
            )
        # spreadsheets leave out empty cells at the end of a row
        return dict.fromkeys(self._names, "") | dict(zip(self._names, record.cells, strict=False))


def read_content(kind: RowKind, row: int, values: dict[str, Any]) -> RowContent:
    """A row that says by itself what it is, as a line of a file would. Raises Invalid for what is none of its kind."""
    found = _SHAPES[kind].read(row, values)
    if isinstance(found, Problem):
        raise TypeError("these shapes leave out no row")
    return found


def _mixed(row: int, others: str, found: LineShape) -> Exception:
    return refusals.refuse(
        "mixed_kinds",
        row=row,
        cause=f"The lines before hold {others}; this one holds {found.called}.",
        fix="Put each kind into a file of its own.",
    )


def _named_texts(record: ObjectRecord, mapping: Mapping | None) -> dict[str, str] | Problem:
    chosen = set() if mapping is None else set(mapping.columns().values())
    for name, value in record.values.items():
        if isinstance(value, dict | list) and name in chosen:
            return Problem(
                row=record.row,
                column=name,
                code="value_not_text",
                cause=f"The value of {refusals.quoted(name)} is a list or an object, not a text.",
                fix="Write one text.",
                severity=Severity.ERROR,
            )
    return {name: rows.shown(value) for name, value in record.values.items()}


def _checked(row: int, given: RowContent | Problem) -> Example:
    """Cleaned, with what is wrong about it; a zero character can be stored nowhere, so that row has no content."""
    if isinstance(given, Problem):
        return Example(row, None, given)
    content = rows.cleaned(given)
    problem = rows.fault_of(row, content)
    return Example(row, None if problem is not None and problem.code == "zero_character" else content, problem)
