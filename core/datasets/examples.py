"""Records of any format to examples: the conversation that a row becomes, or what is wrong with the row."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, TypeVar

from core.datasets import columns
from core.datasets.formats import csv, jsonl, refusals
from core.datasets.formats.csv import CsvRecord
from core.datasets.formats.jsonl import JsonRecord
from core.datasets.types import FileFormat, Mapping, Message, Problem, Severity

# as many rows as are looked at to tell what a table's columns are
NUM_ROWS_LOOKED_AT = 200
_MAX_BYTES_LOOKED_AT = 4 * 1024 * 1024

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Example:
    """`problem` is an error of this row alone: it is left out. Without a mapping there are no messages."""

    row: int
    messages: list[Message]
    problem: Problem | None = None


class Table:
    """A file's rows, whatever its format. `columns` is empty where every row is a conversation already."""

    def __init__(self, stream: BinaryIO, file_format: FileFormat) -> None:
        """Reads the first rows. Raises Invalid if the file as a whole is no table of examples."""
        self.first_rows: list[list[str]] = []
        self._records: Iterator[CsvRecord] | Iterator[JsonRecord]
        self.columns: list[str]
        if file_format is FileFormat.CSV:
            self.columns, self._records = self._open_csv(stream)
        else:
            self.columns, self._records = self._open_jsonl(stream)

    @property
    def is_conversations(self) -> bool:
        return not self.columns

    def examples(self, mapping: Mapping | None) -> Iterator[Example]:
        """Every row, once. Raises Invalid if the mapping does not fit the columns, or at what breaks the file."""
        if mapping is not None:
            columns.refuse_unfit_mapping(mapping, self.columns)
        for record in self._records:
            if isinstance(record, CsvRecord):
                yield self._from_cells(record, mapping)
            elif self.is_conversations:
                yield _from_conversation(record)
            else:
                yield self._from_values(record, mapping)

    def _open_csv(self, stream: BinaryIO) -> tuple[list[str], Iterator[CsvRecord]]:
        records = csv.read_records(stream)
        names = csv.read_header(records)
        first = _first_of(records, stream)
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
        csv.refuse_duplicate_names(names)
        columns.refuse_unfit_names(names, row=1)
        return names, chain(first, records)

    def _open_jsonl(self, stream: BinaryIO) -> tuple[list[str], Iterator[JsonRecord]]:
        records = jsonl.read_objects(stream)
        first = _first_of(records, stream)
        if not first:
            raise refusals.file_empty()
        if "messages" in first[0].values:
            return [], chain(first, records)
        names = list(dict.fromkeys(name for record in first for name in record.values))
        columns.refuse_unfit_names(names, row=first[0].row)
        if len(names) < 2:  # noqa: PLR2004 - a question and an answer
            raise refusals.refuse(
                "too_few_columns",
                row=first[0].row,
                cause="An example needs a question and an answer, or messages.",
                fix='Write each line like {"question": "…", "answer": "…"}.',
            )
        self.first_rows = [[_shown(record.values.get(name)) for name in names] for record in first]
        return names, chain(first, records)

    def _from_cells(self, record: CsvRecord, mapping: Mapping | None) -> Example:
        extra = [cell for cell in record.cells[len(self.columns) :] if cell.strip()]
        if extra:
            problem = Problem(
                row=record.row,
                column=None,
                code="too_many_cells",
                cause=f"The row has {len(record.cells)} cells, but there are {len(self.columns)} columns.",
                fix='Put a text that holds a comma between quotation marks: "like, this".',
                severity=Severity.ERROR,
            )
            return Example(record.row, [], problem)
        # spreadsheets leave out empty cells at the end of a row
        values = dict.fromkeys(self.columns, "") | dict(zip(self.columns, record.cells, strict=False))
        return _from_texts(record.row, values, mapping)

    def _from_values(self, record: JsonRecord, mapping: Mapping | None) -> Example:
        for name, value in record.values.items():
            if isinstance(value, dict | list) and mapping is not None and name in _chosen(mapping):
                problem = Problem(
                    row=record.row,
                    column=name,
                    code="value_not_text",
                    cause=f"The value of {refusals.quoted(name)} is a list or an object, not a text.",
                    fix="Write one text.",
                    severity=Severity.ERROR,
                )
                return Example(record.row, [], problem)
        values = {name: _shown(value) for name, value in record.values.items()}
        return _from_texts(record.row, values, mapping)


def _first_of(records: Iterator[R], stream: BinaryIO) -> list[R]:
    """The rows that are looked at; fewer of a few giants, since what is parsed takes many times its bytes."""
    first = []
    for record in islice(records, NUM_ROWS_LOOKED_AT):
        first.append(record)
        if stream.tell() >= _MAX_BYTES_LOOKED_AT:
            break
    return first


def _chosen(mapping: Mapping) -> list[str]:
    return [name for name in (mapping.question, mapping.answer, mapping.system) if name is not None]


def _from_texts(row: int, values: dict[str, str], mapping: Mapping | None) -> Example:
    if mapping is None:
        return Example(row, [])
    for name in (mapping.question, mapping.answer):
        if not values.get(name, "").strip():
            return Example(row, [], _empty(row, name))
    messages = [
        Message(role="user", content=_clean(values[mapping.question])),
        Message(role="assistant", content=_clean(values[mapping.answer])),
    ]
    system = _clean(values.get(mapping.system, "")) if mapping.system is not None else ""
    if system:
        messages.insert(0, Message(role="system", content=system))
    return _checked(row, messages)


def _from_conversation(record: JsonRecord) -> Example:
    if "messages" not in record.values:
        raise refusals.refuse(
            "messages_malformed",
            row=record.row,
            column="messages",
            cause="Other lines have messages, this one has none.",
            fix="Write every line in the same way.",
        )
    given = jsonl.conversation(record)
    messages = [Message(role=message["role"], content=_clean(message["content"])) for message in given]
    found = _checked(record.row, messages)
    for index, message in enumerate(found.messages):
        if not message["content"]:
            return Example(record.row, messages, _empty(record.row, f"messages[{index}].content"))
    return found


def _checked(row: int, messages: list[Message]) -> Example:
    """JSON can spell a zero character that no text column can hold."""
    if any("\0" in message["content"] for message in messages):
        problem = Problem(
            row=row,
            column=None,
            code="zero_character",
            cause="The text holds a zero character (\\u0000).",
            fix="Remove it.",
            severity=Severity.ERROR,
        )
        return Example(row, [], problem)
    return Example(row, messages)


def _empty(row: int, column: str) -> Problem:
    return Problem(
        row=row,
        column=column,
        code="empty",
        cause="There is nothing here.",
        fix="Fill it in, or delete the row; it is left out as it is.",
        severity=Severity.ERROR,
    )


def _clean(text: str) -> str:
    """Without blanks around it, and with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _shown(value: object) -> str:
    """A JSON value as a cell would show it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)
    except RecursionError:
        # lists in lists a thousand deep, which the parser still takes
        return "…"
