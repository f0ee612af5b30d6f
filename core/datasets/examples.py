"""Records of any format to examples: what a row holds, or what is wrong with the row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO, Final, TypeVar

from core.datasets import columns, rows
from core.datasets.formats import conversations, header, preferences, refusals
from core.datasets.formats.records import (
    Cells,
    CellsRecord,
    ObjectRecord,
    Objects,
    Record,
    TextRecord,
    Texts,
)
from core.datasets.formats.registry import open_file
from core.datasets.types import FileFormat, Mapping, Problem, RowContent, RowKind, Severity

# as many rows as are looked at to tell what a table's columns are
NUM_ROWS_LOOKED_AT = 200
_MAX_BYTES_LOOKED_AT = 4 * 1024 * 1024

# what a line of plain text may have beside it, and nobody learns from
_ABOUT_A_TEXT: Final = frozenset(
    {"id", "meta", "metadata", "url", "source", "title", "date", "timestamp", "lang", "language"}
)
_LINE_OF: Final = {
    RowKind.CHAT: 'a conversation ("messages")',
    RowKind.PREFERENCE: "a preference (two answers to one prompt)",
    RowKind.TEXT: 'plain text ("text")',
}

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Example:
    """`problem` is an error of this row alone: it is left out. Without a mapping, a table's rows have no content."""

    row: int
    content: RowContent | None
    problem: Problem | None = None


class Table:
    """A file's rows, whatever its format; all of one kind.

    `columns` is empty where every row says by itself what it is. Only rows of a table with columns need a mapping;
    they become conversations.
    """

    def __init__(self, stream: BinaryIO, file_format: FileFormat) -> None:
        """Reads the first rows. Raises Invalid if the file as a whole is no table of examples."""
        self.first_rows: list[list[str]] = []
        self.kind = RowKind.CHAT
        self.columns: list[str] = []
        self._names: list[str] = []
        opened = open_file(stream, file_format)
        self.num_bytes_read = opened.num_bytes_read
        self.notices = list(opened.notices)
        self._records: Iterator[Record]
        if isinstance(opened, Cells):
            self._records = self._open_cells(opened)
        elif isinstance(opened, Objects):
            self._records = self._open_objects(opened)
        else:
            self._records = self._open_texts(opened)

    def examples(self, mapping: Mapping | None) -> Iterator[Example]:
        """Every row, once. Raises Invalid if the mapping does not fit the columns, or at what breaks the file."""
        if mapping is not None:
            columns.refuse_unfit_mapping(mapping, self.columns)
        for record in self._records:
            if isinstance(record, TextRecord):
                yield _checked(record.row, RowContent(text=rows.clean(record.text)))
            elif isinstance(record, CellsRecord):
                yield self._from_cells(record, mapping)
            else:
                yield self._from_object(record, mapping)

    def _open_texts(self, opened: Texts) -> Iterator[Record]:
        self.kind = RowKind.TEXT
        first = next(opened.records, None)
        if first is None:
            raise refusals.file_empty()
        return chain([first], opened.records)

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
            self.kind, self._names = RowKind.PREFERENCE, folded
        else:
            self.columns = names
        return chain(first, opened.records)

    def _open_objects(self, opened: Objects) -> Iterator[Record]:
        first = self._first_of(opened.records)
        if not first:
            raise refusals.file_empty()
        kind = _kind_of(first[0].values)
        if kind is not None:
            self.kind = kind
            return chain(first, opened.records)
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
        return chain(first, opened.records)

    def _first_of(self, records: Iterator[R]) -> list[R]:
        """The rows that are looked at; fewer of a few giants, since what is parsed takes many times its bytes."""
        first = []
        for record in islice(records, NUM_ROWS_LOOKED_AT):
            first.append(record)
            if self.num_bytes_read() >= _MAX_BYTES_LOOKED_AT:
                break
        return first

    def _from_cells(self, record: CellsRecord, mapping: Mapping | None) -> Example:
        extra = [cell for cell in record.cells[len(self._names) :] if cell.strip()]
        if extra:
            problem = Problem(
                row=record.row,
                column=None,
                code="too_many_cells",
                cause=f"The row has {len(record.cells)} cells, but there are {len(self._names)} columns.",
                fix='Put a text that holds a comma between quotation marks: "like, this".',
                severity=Severity.ERROR,
            )
            return Example(record.row, None, problem)
        # spreadsheets leave out empty cells at the end of a row
        values = dict.fromkeys(self._names, "") | dict(zip(self._names, record.cells, strict=False))
        if self.kind is RowKind.PREFERENCE:
            return _checked(record.row, preferences.preference(record.row, values))
        return _from_texts(record.row, values, mapping)

    def _from_object(self, record: ObjectRecord, mapping: Mapping | None) -> Example:
        found = _kind_of(record.values)
        if self.columns:
            if found in {RowKind.CHAT, RowKind.PREFERENCE}:
                raise _mixed(record.row, "named values, such as question and answer,", found)
            return _from_values(record, mapping)
        if found is not None and found is not self.kind:
            raise _mixed(record.row, _LINE_OF[self.kind], found)
        return _checked(record.row, _READERS[self.kind](record.row, record.values))


def read_content(kind: RowKind, row: int, values: dict[str, Any]) -> RowContent:
    """A row that says by itself what it is, as a line of a file would. Raises Invalid for what is none of its kind."""
    return _READERS[kind](row, values)


def _kind_of(values: dict[str, Any]) -> RowKind | None:
    """None for a line of named values, which a mapping makes a conversation of."""
    if "messages" in values:
        return RowKind.CHAT
    if preferences.is_preference(values):
        return RowKind.PREFERENCE
    return RowKind.TEXT if "text" in values and values.keys() - {"text"} <= _ABOUT_A_TEXT else None


def _mixed(row: int, others: str, found: RowKind) -> Exception:
    return refusals.refuse(
        "mixed_kinds",
        row=row,
        cause=f"The lines before hold {others}; this one holds {_LINE_OF[found]}.",
        fix="Put each kind into a file of its own.",
    )


def _read_conversation(row: int, values: dict[str, Any]) -> RowContent:
    if "messages" not in values:
        raise _missing(row, "messages_malformed", "messages")
    return conversations.conversation(row, values)


def _read_preference(row: int, values: dict[str, Any]) -> RowContent:
    if not preferences.is_preference(values):
        raise _missing(row, "preference_malformed", "chosen")
    return preferences.preference(row, values)


def _read_text(row: int, values: dict[str, Any]) -> RowContent:
    if "text" not in values:
        raise _missing(row, "text_malformed", "text")
    if not isinstance(values["text"], str):
        raise refusals.refuse(
            "text_malformed", row=row, column="text", cause="This is not a text.", fix="Write the text as one string."
        )
    return RowContent(text=rows.clean(values["text"]))


def _missing(row: int, code: str, name: str) -> Exception:
    return refusals.refuse(
        code,
        row=row,
        column=name,
        cause=f"Other lines have {name}, this one has none.",
        fix="Write every line in the same way.",
    )


_READERS: Final[dict[RowKind, Callable[[int, dict[str, Any]], RowContent]]] = {
    RowKind.CHAT: _read_conversation,
    RowKind.PREFERENCE: _read_preference,
    RowKind.TEXT: _read_text,
}


def _from_values(record: ObjectRecord, mapping: Mapping | None) -> Example:
    chosen = () if mapping is None else (mapping.question, mapping.answer, mapping.system)
    for name, value in record.values.items():
        if isinstance(value, dict | list) and name in chosen:
            problem = Problem(
                row=record.row,
                column=name,
                code="value_not_text",
                cause=f"The value of {refusals.quoted(name)} is a list or an object, not a text.",
                fix="Write one text.",
                severity=Severity.ERROR,
            )
            return Example(record.row, None, problem)
    values = {name: rows.shown(value) for name, value in record.values.items()}
    return _from_texts(record.row, values, mapping)


def _from_texts(row: int, values: dict[str, str], mapping: Mapping | None) -> Example:
    if mapping is None:
        return Example(row, None)
    for name in (mapping.question, mapping.answer):
        if not values.get(name, "").strip():
            return Example(row, None, rows.empty(row, name))
    system = values.get(mapping.system, "") if mapping.system is not None else ""
    return _checked(row, rows.question_and_answer(values[mapping.question], values[mapping.answer], system=system))


def _checked(row: int, given: RowContent) -> Example:
    """Cleaned, with what is wrong about it; a zero character can be stored nowhere, so that row has no content."""
    content = rows.cleaned(given)
    problem = rows.fault_of(row, content)
    return Example(row, None if problem is not None and problem.code == "zero_character" else content, problem)
