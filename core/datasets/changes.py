"""What can be done to the rows of a version: a closed set of changes. In their order, they make the next version."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.config import JsonDict

from core.datasets import rows
from core.datasets.health import fixed
from core.datasets.ingest_files import IngestedRow, RowCheck
from core.datasets.types import RowContent, RowKind, Split

MAX_NUMBERS = 10_000
MAX_TAGS_OF_A_ROW = 20
MAX_NUMBER = 2**53
Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Tag = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[^\s\x00-\x1f](?:[^\x00-\x1f]*[^\s\x00-\x1f])?$")]
Finding = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[a-z_]+$")]


class _Change(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# the validator below, said in the API's description
_BOTH_OR_NEITHER: JsonDict = {
    "anyOf": [
        {
            "required": ["numbers", "finding"],
            "properties": {"numbers": {"type": "array"}, "finding": {"type": "string"}},
        },
        {"properties": {"numbers": {"type": "null"}, "finding": {"type": "null"}}},
    ]
}


class _OfRows(_Change):
    """Of the rows with these numbers, or of all in which this was found when the version was checked."""

    model_config = ConfigDict(json_schema_extra={"not": _BOTH_OR_NEITHER})

    numbers: list[Number] | None = Field(None, min_length=1, max_length=MAX_NUMBERS)
    finding: Finding | None = Field(None, description="The code of a problem.")

    @model_validator(mode="after")
    def _has_one_of_both(self) -> Self:
        if (self.numbers is None) == (self.finding is None):
            raise ValueError("Name either numbers or a finding.")
        return self


class EditRow(_Change):
    type: Literal["edit_row"]
    number: Number
    content: RowContent


class ExcludeRows(_OfRows):
    """Not learned from and not measured with; they stay to be seen."""

    type: Literal["exclude_rows"]


class IncludeRows(_OfRows):
    """What was excluded goes back to the split it had."""

    type: Literal["include_rows"]


class TagRows(_OfRows):
    type: Literal["tag_rows"]
    tag: Tag


class UntagRows(_OfRows):
    type: Literal["untag_rows"]
    tag: Tag


class ApplyFix(_Change):
    """Mend what was found, in every row that has it; what cannot be mended is excluded."""

    type: Literal["apply_fix"]
    finding: Finding


class SplitStrategy(StrEnum):
    # by contents alone, as a file is split when it is read
    RANDOM = "random"
    # so that each tag has its share
    BY_TAG = "by_tag"
    # so that each answer has its share: for answers that are labels
    BY_ANSWER = "by_answer"
    # the end of the file, where rows stand in the order of time
    LAST = "last"
    # the newest, by the time that each row was read with
    BY_TIME = "by_time"


class Resplit(_Change):
    """Choose anew what is held out. Rows that say the same stay on one side."""

    type: Literal["resplit"]
    strategy: SplitStrategy
    fraction: float = Field(0.1, gt=0, le=0.5, description="The share that is held out.")


class Restore(_Change):
    """All as it was in an earlier version of the dataset. Stands alone."""

    type: Literal["restore"]
    number: Number = Field(description="The version's number.")


RowChange = EditRow | ExcludeRows | IncludeRows | TagRows | UntagRows | ApplyFix
Change = Annotated[RowChange | Resplit | Restore, Field(discriminator="type")]
CHANGE: TypeAdapter[Change] = TypeAdapter(Change)


class DeriveSpec(RowCheck):
    """`spec.json` of a folder in which rows are changed: all that the child process is given besides the rows."""

    kind: RowKind
    changes: list[Change]
    num_rows: int
    keeps_all: bool = False
    """However few rows there are, and each on its side: a version without rows that were erased, not another one."""


class Edits:
    """The changes of single rows, found by number and by finding, whatever their number is."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._by_number: dict[int, list[tuple[int, RowChange]]] = defaultdict(list)
        self._by_finding: dict[str, list[tuple[int, RowChange]]] = defaultdict(list)
        for place, change in enumerate(changes):
            if isinstance(change, Resplit | Restore):
                continue
            finding = None if isinstance(change, EditRow) else change.finding
            if finding is not None:
                self._by_finding[finding].append((place, change))
                continue
            for number in dict.fromkeys(_numbers(change)):
                self._by_number[number].append((place, change))

    def numbers(self) -> set[int]:
        """Rows that are named by their number."""
        return set(self._by_number)

    def apply(self, row: IngestedRow) -> IngestedRow:
        """The row as the changes make it; the same object if none concerns it.

        A finding is one of the row as it was given: what was seen when the changes were made.
        """
        found = list(self._by_number.get(row.number, ()))
        for code in _codes(row):
            found += self._by_finding.get(code, ())
        for _, change in sorted(found, key=lambda one: one[0]):
            row = _apply(row, change)
        return row


def resplit_of(changes: Sequence[Change]) -> Resplit | None:
    """The last one: it chooses anew whatever those before it chose."""
    return next((change for change in reversed(changes) if isinstance(change, Resplit)), None)


def _numbers(change: RowChange) -> list[int]:
    if isinstance(change, EditRow):
        return [change.number]
    return [] if isinstance(change, ApplyFix) else change.numbers or []


def _codes(row: IngestedRow) -> set[str]:
    return {problem.code for problem in row.problems}


def _apply(row: IngestedRow, change: RowChange) -> IngestedRow:
    match change:
        case EditRow():
            return edited(row, change.content)
        case ExcludeRows():
            return excluded(row)
        case IncludeRows():
            return row.model_copy(update={"split": row.excluded_from or row.split, "excluded_from": None})
        case TagRows():
            tags = sorted({*row.tags, change.tag})
        case UntagRows():
            tags = [tag for tag in row.tags if tag != change.tag]
        case ApplyFix():
            content = fixed(change.finding, row)
            return excluded(row) if content is None else edited(row, content)
    return row.model_copy(update={"tags": tags[:MAX_TAGS_OF_A_ROW]})


def edited(row: IngestedRow, content: RowContent) -> IngestedRow:
    content = rows.cleaned(content)
    if content.dump_content() == row.dump_content():
        return row
    values = {name: getattr(content, name) for name in RowContent.model_fields}
    return row.model_copy(update=values | {"is_edited": True, "num_tokens": None, "problems": []})


def excluded(row: IngestedRow) -> IngestedRow:
    if row.excluded_from is not None:
        return row
    return row.model_copy(update={"split": Split.LEFT_OUT, "excluded_from": row.split})
