"""What is in the folder of an ingest job: `spec.json` and `file` in, `rows.jsonl` and `report.json` out."""

from pydantic import BaseModel, ConfigDict

from core.datasets.types import FileFormat, Health, Mapping, Problem, RowContent, RowKind, Split

SPEC_NAME, SOURCE_NAME = "spec.json", "file"
ROWS_NAME, REPORT_NAME, EVENTS_NAME = "rows.jsonl", "report.json", "events.jsonl"


class IngestSpec(BaseModel):
    """`spec.json` of an ingest run folder: the whole input of the child process besides the file itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: FileFormat
    mapping: Mapping | None
    # a folder with the tokenizer of the default base model; without one, tokens are not counted (tests only)
    tokenizer_dir: str | None
    max_row_tokens: int


class IngestedRow(RowContent):
    """A line of `rows.jsonl`. A preference's tokens are those of both conversations that it makes."""

    number: int
    split: Split
    num_tokens: int | None
    problems: list[Problem]


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
