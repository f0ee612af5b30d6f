"""The first look at a file, while its owner waits: what are its columns, how do its rows read, what is wrong."""

from typing import BinaryIO

from core.datasets import columns
from core.datasets.examples import NUM_ROWS_LOOKED_AT, Table
from core.datasets.formats import refusals
from core.datasets.formats.refusals import MIN_ROWS
from core.datasets.types import MAX_PROBLEMS_SHOWN, Column, FileFormat, Inspection, Problem, SampleRow

# about a second's worth of reading; a dataset version reads everything
MAX_ROWS_READ = 200_000
MAX_BYTES_READ = 32 * 1024 * 1024
_NUM_SAMPLE_ROWS = 5
_NUM_SAMPLE_VALUES = 3
_MAX_SAMPLE_CHARS = 300


def inspect(stream: BinaryIO, file_format: FileFormat, *, reads_all: bool = False) -> Inspection:
    """Read the beginning of a file, or all of it if it is small. Raises Invalid if it cannot be used as a whole."""
    table = Table(stream, file_format)
    mapping = columns.suggest_mapping(table.columns, table.first_rows) if table.columns else None
    num_rows, num_problems = 0, 0
    is_complete = True
    problems: list[Problem] = []
    sample: list[SampleRow] = []
    for example in table.examples(mapping):
        if not reads_all and (num_rows >= MAX_ROWS_READ or table.num_bytes_read() >= MAX_BYTES_READ):
            is_complete = False
            break
        num_rows += 1
        if example.problem is not None:
            num_problems += 1
            if len(problems) < MAX_PROBLEMS_SHOWN:
                problems.append(example.problem)
        elif example.content is not None and len(sample) < _NUM_SAMPLE_ROWS:
            sample.append(SampleRow(row=example.row, **example.content.dump_content()))
    if is_complete and num_rows < MIN_ROWS:
        raise refusals.too_few_rows(num_rows, table.kind)
    return Inspection(
        format=file_format,
        kind=table.kind,
        columns=_columns(table),
        num_rows=num_rows,
        is_complete=is_complete,
        sample=sample,
        mapping=mapping,
        problems=problems,
        num_problems=num_problems,
        notices=table.notices,
    )


def _columns(table: Table) -> list[Column]:
    roles = columns.suggest_roles(table.columns, table.first_rows)
    role_of = {name: role for role, name in roles.items()}
    return [
        Column(name=name, sample_values=_sample_values(table, index), role_suggestion=role_of.get(name))
        for index, name in enumerate(table.columns)
    ]


def _sample_values(table: Table, index: int) -> list[str]:
    cells = (row[index].strip() for row in table.first_rows[:NUM_ROWS_LOOKED_AT] if index < len(row))
    # JSON can spell a zero character that no text column can hold
    return [cell[:_MAX_SAMPLE_CHARS].replace("\0", "") for cell in dict.fromkeys(cells) if cell][:_NUM_SAMPLE_VALUES]
