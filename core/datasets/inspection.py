"""The first look at a file, while its owner waits: what are its columns, how do its rows read, what is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from core.datasets import proposals
from core.datasets.examples import NUM_ROWS_LOOKED_AT, Example, Table
from core.datasets.formats import refusals
from core.datasets.formats.refusals import MIN_ROWS
from core.datasets.types import MAX_PROBLEMS_SHOWN, Column, FileFormat, Inspection, Mapping, Problem, SampleRow

# about a second's worth of reading; a dataset version reads everything
MAX_ROWS_READ = 200_000
MAX_BYTES_READ = 32 * 1024 * 1024
_NUM_SAMPLE_ROWS = 5
_NUM_SAMPLE_VALUES = 3
_MAX_SAMPLE_CHARS = 300


@dataclass(frozen=True, slots=True)
class Portion:
    """How much is looked at: so many rows of the file, and as many whole ones as begin in so many bytes."""

    num_records: int
    num_bytes: int


def inspect(
    stream: BinaryIO,
    file_format: FileFormat,
    *,
    mapping: Mapping | None = None,
    reads_all: bool = False,
    portion: Portion | None = None,
) -> Inspection:
    """Read the beginning of a file, or all of it if it is small. Without a mapping, a table has the one proposed.

    Of messages whose assistant is not known yet, only those who speak are found. Raises Invalid if the file cannot be
    used as a whole, or if the mapping does not fit it.
    """
    table = Table(stream, file_format)
    proposed = proposals.propose(table.columns, table.first_rows) if table.columns else None
    wanted = proposed if mapping is None else mapping
    portion = portion or Portion(MAX_ROWS_READ, MAX_BYTES_READ)

    def is_enough() -> bool:
        return not reads_all and (
            table.num_records >= portion.num_records or table.num_bytes_read() >= portion.num_bytes
        )

    if wanted is not None and wanted.missing() == ["assistant_speakers"]:
        table.hear(wanted, is_enough=is_enough)
        found = _Found(num_rows=table.num_records)
    else:
        if mapping is None and proposed is not None and not proposed.missing():
            mapping = proposed
        found = _look(table.examples(mapping, is_enough=is_enough))
    # how many examples a table makes, its mapping decides, which can still be changed
    if table.is_complete and table.num_records < MIN_ROWS:
        raise refusals.too_few_rows(table.num_records, table.kind)
    return Inspection(
        format=file_format,
        kind=table.kind,
        shape=table.shape,
        columns=_columns(table, proposed or Mapping()),
        num_rows=found.num_rows,
        num_records=table.num_records,
        is_complete=table.is_complete,
        sample=found.sample,
        mapping=mapping,
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


def _look(examples: Iterable[Example]) -> _Found:
    found = _Found()
    for example in examples:
        found.num_rows += 1
        if example.problem is not None:
            found.num_problems += 1
            if len(found.problems) < MAX_PROBLEMS_SHOWN:
                found.problems.append(example.problem)
        elif example.content is not None and len(found.sample) < _NUM_SAMPLE_ROWS:
            found.sample.append(SampleRow(row=example.row, **example.content.dump_content()))
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
