"""The values of data sets: what is wrong with a row, which column plays which part, what a file turned out to hold."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, Strict
from typing_extensions import TypedDict

MAX_PROBLEMS_SHOWN = 100
MAX_COLUMN_NAME_CHARS = 1000
MAX_SHEET_NAME_CHARS = 255


class FunctionCall(TypedDict):
    name: str
    # a JSON object, written as text
    arguments: str


class ToolCall(TypedDict):
    id: NotRequired[str]
    type: Literal["function"]
    function: FunctionCall


class Message(TypedDict):
    """As OpenAI's chat has it; `content` may be missing (None) only beside `tool_calls`."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None
    # 0 to 1, of the assistant's messages only: how much this one is learned; 1 if absent
    weight: NotRequired[Annotated[float, Strict()]]
    name: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]


class UploadStatus(StrEnum):
    """Of a file that arrives in parts, in the words of the OpenAI wire."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


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
    TRAIN = "train"
    HELDOUT = "heldout"
    # with an error of its own, or excluded by somebody
    LEFT_OUT = "left_out"
    EXCLUDED = "excluded"
    EDITED = "edited"


class RowOrder(StrEnum):
    NUMBER = "number"
    NUMBER_DOWN = "-number"
    TOKENS = "num_tokens"
    TOKENS_DOWN = "-num_tokens"


class Severity(StrEnum):
    # the row is left out
    ERROR = "error"
    # the row is used; somebody should look
    WARNING = "warning"
    # worth knowing; nothing is wrong
    NOTE = "note"


class Fix(StrEnum):
    """What can be done about a finding without asking anybody: `core.datasets.health.fixed`."""

    # the row is left out
    LEAVE_OUT = "leave_out"
    # what was found is replaced by a word in brackets that says what was there
    MASK = "mask"
    # what does not belong is taken away, the rest stays
    CLEAN = "clean"


class FileFormat(StrEnum):
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    # one document with a list of objects
    JSON = "json"
    XLSX = "xlsx"
    XLS = "xls"
    ODS = "ods"
    PARQUET = "parquet"
    # plain text and Markdown, by paragraphs
    TXT = "txt"
    MARKDOWN = "md"
    # plain text of documents
    PDF = "pdf"
    DOCX = "docx"


class ColumnRole(StrEnum):
    """A part that a column can play; each is a field of `Mapping`."""

    QUESTION = "question"
    CONTEXT = "context"
    ANSWER = "answer"
    SYSTEM = "system"
    CONVERSATION = "conversation"
    TIME = "time"
    SPEAKER = "speaker"
    MESSAGE = "message"
    TEXT = "text"
    CHOSEN = "chosen"
    REJECTED = "rejected"


class Shape(StrEnum):
    """How a file writes its rows down."""

    # columns, whose parts a mapping tells
    TABLE = "table"
    OPENAI_CHAT = "openai_chat"
    OPENAI_REINFORCEMENT = "openai_reinforcement"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    PROMPT_COMPLETION = "prompt_completion"
    PREFERENCE = "preference"
    TEXT = "text"


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


class Notice(_Value):
    """How a file was read where it could have been read otherwise: nothing is wrong, but somebody should know."""

    code: str
    text: str


ColumnName = Annotated[str, Field(min_length=1, max_length=MAX_COLUMN_NAME_CHARS)]
SheetName = Annotated[str, Field(min_length=1, max_length=MAX_SHEET_NAME_CHARS)]
SpeakerValue = Annotated[str, Field(min_length=1, max_length=200)]


class Mapping(_Value):
    """Which column plays which part, in one of four ways.

    A row is a question with its answer (`question`, `answer`); or one message of a conversation (`conversation`,
    `speaker`, `assistant_speakers`, `message`); or a question with the better answer and the other (`question`,
    `chosen`, `rejected`); or a text (`text`). Of a workbook it may say which `sheet` is read, and nothing else: its
    columns are then what is suggested.
    """

    sheet: SheetName | None = Field(
        None, description="Of a workbook, the sheet that is read; when absent, the one that the inspection names."
    )
    question: ColumnName | None = Field(None, description="The column with the user's words.")
    context: ColumnName | None = Field(None, description="A column that goes on with the question, below it.")
    answer: ColumnName | None = Field(None, description="The column with the assistant's words.")
    system: ColumnName | None = Field(None, description="The column with the instructions before a conversation.")
    system_text: str | None = Field(
        None, min_length=1, max_length=10_000, description="The same instructions before every conversation."
    )
    conversation: ColumnName | None = Field(None, description="The column that says which conversation a row is of.")
    time: ColumnName | None = Field(
        None,
        description="The column with when it was said: it orders messages, in the file's order when absent, and tells "
        "which examples are the newest.",
    )
    speaker: ColumnName | None = Field(None, description="The column that says who speaks.")
    assistant_speakers: list[SpeakerValue] = Field(
        [],
        max_length=200,
        description="Who of them is the assistant, whatever the case. `@example.com` is every address there.",
    )
    ignored_speakers: list[SpeakerValue] = Field([], max_length=200, description="Whose messages are passed over.")
    message: ColumnName | None = Field(None, description="The column with what is said.")
    text: ColumnName | None = Field(None, description="The column with plain text, to go on reading.")
    chosen: ColumnName | None = Field(None, description="The column with the answer that is preferred.")
    rejected: ColumnName | None = Field(None, description="The column with the answer that is not.")

    @property
    def kind(self) -> RowKind:
        if self.text is not None:
            return RowKind.TEXT
        return RowKind.CHAT if self.chosen is None and self.rejected is None else RowKind.PREFERENCE

    @property
    def is_thread(self) -> bool:
        """Whether a row is one message, and rows with the same conversation make an example."""
        return (
            self.kind is RowKind.CHAT
            and self.question is None
            and self.answer is None
            and not (self.conversation is None and self.speaker is None and self.message is None)
        )

    def parts(self) -> tuple[frozenset[str], frozenset[str]]:
        """The fields that its way of reading a row needs, and those that may stand beside them."""
        instructions = {"sheet", "system", "system_text"}
        if self.kind is RowKind.TEXT:
            return frozenset({"text"}), frozenset({"sheet", "time"})
        if self.kind is RowKind.PREFERENCE:
            return frozenset({"question", "chosen", "rejected"}), frozenset({"context", "time", *instructions})
        if self.is_thread:
            needed = {"conversation", "speaker", "assistant_speakers", "message"}
            return frozenset(needed), frozenset({"time", "ignored_speakers", *instructions})
        return frozenset({"question", "answer"}), frozenset({"context", "time", *instructions})

    def missing(self) -> list[str]:
        """The fields that it needs and does not say; none if it is complete."""
        return [name for name in type(self).model_fields if name in self.parts()[0] and not getattr(self, name)]

    def columns(self) -> dict[ColumnRole, str]:
        """The column of every part that has one."""
        named = {role: getattr(self, role.value) for role in ColumnRole}
        return {role: name for role, name in named.items() if name is not None}

    def apart(self) -> "tuple[str | None, Mapping | None]":
        """The sheet, and what is said of its columns; None where nothing but the sheet is said."""
        rest = self.in_sheet(None)
        return self.sheet, None if self.sheet is not None and not rest.dump() else rest

    def in_sheet(self, sheet: str | None) -> "Mapping":
        return self.model_copy(update={"sheet": sheet})

    def dump(self) -> dict[str, Any]:
        """As it is kept: only what it says, so that two that mean the same are equal."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Column(_Value):
    name: str
    sample_values: list[str]
    role_suggestion: ColumnRole | None


class Speaker(_Value):
    """A value of the column that says who speaks, among the rows that were looked at."""

    value: str
    num_messages: int


class RowContent(_Value):
    """What a row holds: a conversation; the messages before two answers and both of these; or a text."""

    messages: list[Message] = Field([], description="A conversation, or of a preference what was said before.")
    tools: list[dict[str, Any]] | None = Field(None, description="The functions that the assistant could call.")
    chosen: list[Message] | None = Field(None, description="Of a preference, the answer that was preferred.")
    rejected: list[Message] | None = Field(None, description="Of a preference, the answer that was not.")
    text: str | None = Field(None, description="Plain text, to go on reading.")

    @property
    def kind(self) -> RowKind:
        if self.text is not None:
            return RowKind.TEXT
        return RowKind.CHAT if self.chosen is None else RowKind.PREFERENCE

    def all_messages(self) -> list[Message]:
        return [*self.messages, *(self.chosen or []), *(self.rejected or [])]

    def words(self) -> Iterator[str]:
        """Every text in it that a person or a program wrote: contents, arguments of calls, plain text."""
        if self.text is not None:
            yield self.text
        for message in self.all_messages():
            yield message["content"] or ""
            yield from (call["function"]["arguments"] for call in message.get("tool_calls", []))

    def dump_content(self) -> dict[str, Any]:
        """The fields of its kind alone, as a run folder has them."""
        if self.text is not None:
            return {"text": self.text}
        fields = {"messages": self.messages, "tools": self.tools, "chosen": self.chosen, "rejected": self.rejected}
        return {name: value for name, value in fields.items() if value is not None}


class SampleRow(RowContent):
    row: int


class Inspection(_Value):
    """What a first look at a file found."""

    format: FileFormat
    # of a workbook, the first of those that can be chosen, and the one that was looked at
    sheets: list[str] = []
    sheet: str | None = None
    # what is missing was looked at before there were other kinds, and shapes
    kind: RowKind = RowKind.CHAT
    shape: Shape | None = None
    columns: list[Column]
    num_rows: int
    # rows of the file that were read: as many, unless several make a conversation
    num_records: int | None = None
    # false for a large file of which only the beginning was looked at; a dataset version reads all of it
    is_complete: bool
    sample: list[SampleRow]
    # null where rows are conversations already, or where no columns look like questions and answers
    mapping: Mapping | None
    # who speaks, where rows are messages; the most frequent first
    speakers: list[Speaker] = []
    problems: list[Problem]
    num_problems: int
    # how it was read where that was a choice: its encoding, its sheet
    notices: list[Notice] = []

    @property
    def chosen_sheet(self) -> str | None:
        """What a mapping says of the sheet that was looked at: nothing where there is but one."""
        return self.sheet if len(self.sheets) > 1 else None


class Finding(_Value):
    """What was found in some rows of a version, or in all of them together."""

    code: str
    severity: Severity
    count: int = Field(description="How many rows have it.")
    rows: list[int] = Field(description="The numbers of the first few of them.")
    sentence: str = Field(description="In plain words.")
    advice: str = Field(description="What to do about it.")
    fixes: list[Fix] = Field(description="What can be done about it at once, the best first; else it is for a person.")
    can_be_listed: bool = Field(True, description="Whether its rows have it as a problem and can be listed by it.")


class Kept(_Value):
    """Who decided that what was found in a version may stay in it, and why."""

    ground: str
    kept_by_name: str | None = Field(description="Null for a service.")
    kept_at: datetime
    is_carried_over: bool = Field(description="Decided of an earlier version, of which this one was made.")


class Share(_Value):
    label: str
    count: int


class Health(_Value):
    """What was found, worst first; and two pictures of the whole."""

    findings: list[Finding] = []
    answer_lengths: list[Share] = Field(
        [], description="How many answers, of plain text rows, have how many characters."
    )
    languages: list[Share] = Field([], description="Of at most 2,000 rows, those whose language is clear; most first.")


class RowRecord(RowContent):
    """A row as training reads it."""

    number: int
