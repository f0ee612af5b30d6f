"""What is in the folder of a job that makes a version.

In: `spec.json`, and the `file` to read or the rows to change (`base.jsonl`). Out: `rows.jsonl` with every row and
`rows.parquet` with the same, of a changed version `changed.jsonl` with those that differ, and `report.json`.
"""

from pydantic import BaseModel, ConfigDict, Field

from core.datasets.types import FileFormat, Health, Mapping, Problem, RowContent, RowKind, Split

SPEC_NAME, SOURCE_NAME, BASE_NAME = "spec.json", "file", "base.jsonl"
ROWS_NAME, REPORT_NAME, EVENTS_NAME = "rows.jsonl", "report.json", "events.jsonl"
CHANGED_NAME, PARQUET_NAME = "changed.jsonl", "rows.parquet"
LANDMARK_EVERY_ROWS = 1000


class RowCheck(BaseModel):
    """With what rows are checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # a folder with the tokenizer of the default base model; without one, tokens are not counted (tests only)
    tokenizer_dir: str | None
    max_row_tokens: int


class IngestSpec(RowCheck):
    """`spec.json` of a folder in which a file is read: all that the child process is given besides the file."""

    format: FileFormat
    mapping: Mapping | None


class IngestedRow(RowContent):
    """A line of `rows.jsonl`. A preference's tokens are those of both conversations that it makes."""

    number: int
    split: Split
    num_tokens: int | None
    problems: list[Problem]
    # what people did to it since the file was read
    is_edited: bool = False
    excluded_from: Split | None = None
    tags: list[str] = Field([])
    # when it was said, if that is known
    time: float | None = None


class IngestReport(BaseModel):
    """`report.json`: what the whole file came to. Counts are of rows that can be learned from, except problems.

    The longest row is the longest that the model reads at once: of a preference, the longer of its two conversations.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: RowKind
    num_rows: int
    num_train: int
    num_heldout: int
    num_problems: int
    num_tokens: int
    max_row_tokens: int
    p99_row_tokens: int
    content_sha256: str
    health: Health
    problems: list[Problem]
    # all rows, with those left out, and the number of every thousandth, from the first on
    num_visible: int
    # usable rows whose time is known
    num_dated: int
    landmarks: list[int]
