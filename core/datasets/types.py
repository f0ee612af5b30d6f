"""The values of data sets: what is wrong with a row, which column plays which part, what a file turned out to hold."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

MAX_PROBLEMS_SHOWN = 100
MAX_COLUMN_NAME_CHARS = 1000


class Message(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


class VersionStatus(StrEnum):
    VALIDATING = "validating"
    READY = "ready"
    FAILED = "failed"


class Split(StrEnum):
    TRAIN = "train"
    HELDOUT = "heldout"
    # a row with an error: kept to be shown, never trained on nor measured with
    LEFT_OUT = "left_out"


class RowKind(StrEnum):
    """What the rows of a version hold; each objective of training reads one kind."""

    # conversations
    CHAT = "chat"
    # a prompt with the answer that was preferred and the one that was not
    PREFERENCE = "preference"
    # plain text, to go on reading
    TEXT = "text"


class RowFilter(StrEnum):
    ALL = "all"
    PROBLEMS = "problems"
    HELDOUT = "heldout"


class Severity(StrEnum):
    # the row is left out
    ERROR = "error"
    # the row is used; somebody should look
    WARNING = "warning"


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


class ColumnRole(StrEnum):
    QUESTION = "question"
    ANSWER = "answer"
    SYSTEM = "system"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Value):
    """One thing wrong, told so that the owner of the file can fix it."""

    # the record's number in the file: in a CSV the header is row 1, so this is the spreadsheet's own number
    row: int | None
    column: str | None
    code: str
    cause: str
    fix: str
    severity: Severity


class Mapping(_Value):
    """Which column is the question, which the answer, and which, if any, the instructions before them."""

    question: str = Field(min_length=1, max_length=MAX_COLUMN_NAME_CHARS)
    answer: str = Field(min_length=1, max_length=MAX_COLUMN_NAME_CHARS)
    system: str | None = Field(None, min_length=1, max_length=MAX_COLUMN_NAME_CHARS)


class Column(_Value):
    name: str
    sample_values: list[str]
    role_suggestion: ColumnRole | None


class SampleRow(_Value):
    row: int
    messages: list[Message]


class Inspection(_Value):
    """What a first look at a file found."""

    format: FileFormat
    columns: list[Column]
    num_rows: int
    # false for a large file of which only the beginning was looked at; a dataset version reads all of it
    is_complete: bool
    sample: list[SampleRow]
    # null where rows are conversations already, or where no two columns look like questions and answers
    mapping: Mapping | None
    problems: list[Problem]
    num_problems: int


class Health(_Value):
    """How many rows have what. `contradictions` counts questions that have more than one answer."""

    duplicates: int = 0
    contradictions: int = 0
    too_long: int = 0
    empty: int = 0
    card_numbers: int = 0


class RowRecord(_Value):
    """A row as training reads it."""

    number: int
    messages: list[Message]
