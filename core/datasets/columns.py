"""What columns may be called, whether a mapping fits them, and whether there are names at all."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from statistics import median

from core.datasets import column_names
from core.datasets.formats import refusals
from core.datasets.types import MAX_COLUMN_NAME_CHARS, ColumnRole, Mapping
from core.errors import Invalid

_NUMBER_CHARS = frozenset("0123456789.,:/ %$€+-")
_MAX_NUMBER_CHARS = 40
_MISSING = {
    "question": "Choose the column with the question.",
    "answer": "Choose the column with the answer.",
    "conversation": "Choose the column that says which conversation a message belongs to.",
    "speaker": "Choose the column that says who speaks.",
    "assistant_speakers": "Say which of those who speak are on your side: their answers are what is learned.",
    "message": "Choose the column with what is said.",
    "text": "Choose the column with the text.",
    "chosen": "Choose the column with the answer that is preferred.",
    "rejected": "Choose the column with the answer that is not preferred.",
}

# at these lengths a cell of the first row reads like an example if the cells below it are alike
_LONG_CELL_CHARS, _LONG_COLUMN_CHARS = 64, 32
_SENTENCE_WORDS, _COLUMN_WORDS, _PHRASE_WORDS = 6, 4, 3
_MOSTLY = 0.8
_MIN_REPEATS = 2


def refuse_unfit_names(names: Sequence[str], *, row: int) -> None:
    """Raise Invalid for columns that nobody could choose from or that cannot be kept."""
    if len(names) > refusals.MAX_COLUMNS:
        raise refusals.too_many_columns(row, len(names))
    for name in names:
        if len(name) > MAX_COLUMN_NAME_CHARS or "\0" in name:
            shown = refusals.quoted(name.replace("\0", ""))
            raise refusals.refuse(
                "column_name_unfit",
                row=row,
                cause=f"The name of a column is longer than {MAX_COLUMN_NAME_CHARS} characters or holds a zero "
                f"character: {shown}.",
                fix="Give it a short name.",
            )


def refuse_unfit_mapping(mapping: Mapping, names: Sequence[str], *, may_lack: Sequence[str] = ()) -> None:
    """Raise Invalid if the mapping does not fit. Without `names`, the rows are conversations already.

    It may lack those parts that it `may_lack`, when it is to be completed.
    """
    if not names:
        raise Invalid(
            "Every row of this file is a conversation already, so there are no columns to choose.",
            code="mapping_not_needed",
            param="mapping",
        )
    chosen = mapping.columns()
    for role, name in chosen.items():
        if name not in names:
            raise Invalid(
                f"The file has no column {refusals.quoted(name)}. Choose one of: {', '.join(names)}.",
                code="mapping_column_unknown",
                param=f"mapping.{role}",
            )
    _refuse_mixed(mapping)
    for part in [part for part in mapping.missing() if part not in may_lack]:
        raise Invalid(_MISSING[part], code="mapping_incomplete", param=f"mapping.{part}")
    taken: dict[str, ColumnRole] = {}
    for role, name in chosen.items():
        if name in taken:
            raise Invalid(
                f"{taken[name]} and {role} cannot be the same column, {refusals.quoted(name)}. Choose another for one.",
                code="mapping_same_column",
                param="mapping",
            )
        taken[name] = role


def _refuse_mixed(mapping: Mapping) -> None:
    needed, optional = mapping.parts()
    for name in mapping.model_fields_set:
        if getattr(mapping, name) and name not in needed | optional:
            raise Invalid(
                f"A mapping with {' and '.join(sorted(needed))} has no {name}. Leave it out, or choose one way: a "
                "question and its answer; messages of conversations; a question and two answers; or a text.",
                code="mapping_mixed",
                param=f"mapping.{name}",
            )
    if mapping.system and mapping.system_text:
        raise Invalid(
            "The instructions are either a column (system) or one text (system_text), not both.",
            code="mapping_mixed",
            param="mapping.system_text",
        )


def example_like_cell(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """A cell that gives the first row away as an example and not column names; None if it may well be a header.

    A known name settles it. Else a cell is suspicious only together with the column below it: both numbers, both long,
    both sentences, or the very same value again. So a questionnaire's header ("What did you ask?") passes.
    """
    # one letter may well be an answer
    if any(cell.strip().casefold() in column_names.KNOWN for cell in header):
        return None
    # a header repeated in the middle comes from joining files, and says nothing here
    others = [row for row in rows if list(row) != list(header)]
    evidence: dict[str, _Evidence] = {}
    for index, name in enumerate(header):
        cell = name.strip()
        below = [row[index].strip() for row in others if index < len(row) and row[index].strip()]
        if cell and below:
            evidence[cell] = _evidence(cell, below)
    strongest = max(evidence, key=lambda cell: evidence[cell], default=None)
    if strongest is None or evidence[strongest] is _Evidence.NONE:
        return None
    is_certain = evidence[strongest] is _Evidence.STRONG or all(found > _Evidence.NONE for found in evidence.values())
    return strongest if is_certain else None


class _Evidence(IntEnum):
    """That a cell is one of the values below it: enough alone when strong, in every column when weak."""

    NONE = 0
    WEAK = 1
    STRONG = 2


def _evidence(cell: str, below: Sequence[str]) -> _Evidence:
    if _is_number(cell):
        return _Evidence.STRONG if _share(below, _is_number) >= _MOSTLY else _Evidence.NONE
    if sum(value == cell for value in below) >= _MIN_REPEATS:
        return _Evidence.STRONG
    if len(cell) >= _LONG_CELL_CHARS and median(map(len, below)) >= _LONG_COLUMN_CHARS:
        return _Evidence.STRONG
    num_words, num_words_below = len(cell.split()), median(len(value.split()) for value in below)
    end = cell[-1] if cell[-1] in ".?!" else ""
    ends_alike = _share(below, lambda value: value.endswith(end)) >= _MOSTLY
    if end == "?":
        return _Evidence.WEAK if ends_alike and num_words > 1 else _Evidence.NONE
    if num_words >= _SENTENCE_WORDS and num_words_below >= _COLUMN_WORDS:
        return _Evidence.STRONG
    return _Evidence.WEAK if ends_alike and min(num_words, num_words_below) >= _PHRASE_WORDS else _Evidence.NONE


def _share(values: Sequence[str], holds: Callable[[str], bool]) -> float:
    return sum(holds(value) for value in values) / len(values)


def texts(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns that hold words, in their order: not numbers, dates, codes or nothing."""
    found = []
    for index, name in enumerate(names):
        values = [row[index].strip() for row in rows if index < len(row) and row[index].strip()]
        if values and _share(values, _is_code) < _MOSTLY:
            found.append(name)
    return found


def _is_code(value: str) -> bool:
    return _is_number(value) or (" " not in value and any(char.isdigit() for char in value))


def _is_number(value: str) -> bool:
    """Numbers, dates, times, amounts."""
    return len(value) <= _MAX_NUMBER_CHARS and set(value) <= _NUMBER_CHARS and any(map(str.isdigit, value))
