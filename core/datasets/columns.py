"""Guesses about columns, by their names first and their contents second; and whether there are names at all."""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from statistics import median

from core.datasets.formats import refusals
from core.datasets.types import MAX_COLUMN_NAME_CHARS, ColumnRole, Mapping
from core.errors import Invalid

# best first: a table with both `instruction` and `input` asks its question in `instruction`
_NAMES: dict[ColumnRole, tuple[str, ...]] = {
    ColumnRole.QUESTION: (
        "question", "prompt", "instruction", "input", "query", "user", "request", "customer", "message", "ticket",
        "text", "review", "comment", "sentence", "source", "q",
    ),
    ColumnRole.ANSWER: (
        "answer", "response", "output", "completion", "reply", "assistant", "label", "target", "category", "class",
        "sentiment", "summary", "translation", "resolution", "solution", "result", "a",
    ),
    ColumnRole.SYSTEM: ("system", "instructions", "persona"),
}  # fmt: skip
_WORDS = re.compile(r"[a-z0-9]+")
_NUMBER_CHARS = frozenset("0123456789.,:/ %$€+-")
_MAX_NUMBER_CHARS = 40

# at these lengths a cell of the first row reads like an example if the cells below it are alike
_LONG_CELL_CHARS, _LONG_COLUMN_CHARS = 64, 32
_SENTENCE_WORDS, _COLUMN_WORDS, _PHRASE_WORDS = 6, 4, 3
_MOSTLY = 0.8
_MIN_REPEATS = 2


def suggest_roles(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[ColumnRole, str]:
    """Which column plays which part, as far as it can be guessed; two parts never share a column."""
    roles: dict[ColumnRole, str] = {}
    for is_whole_name in (True, False):
        for role, candidates in _NAMES.items():
            free = [name for name in names if name not in roles.values()]
            found = _named(candidates, free, is_whole_name=is_whole_name)
            if role not in roles and found is not None:
                roles[role] = found
    free = [name for name in _texts(names, rows) if name not in roles.values()]
    for role in (ColumnRole.QUESTION, ColumnRole.ANSWER):
        if role not in roles and free:
            roles[role] = free.pop(0)
    return roles


def suggest_mapping(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Mapping | None:
    """None unless both a question and an answer column were found."""
    roles = suggest_roles(names, rows)
    question, answer = roles.get(ColumnRole.QUESTION), roles.get(ColumnRole.ANSWER)
    if question is None or answer is None:
        return None
    return Mapping(question=question, answer=answer, system=roles.get(ColumnRole.SYSTEM))


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


def refuse_unfit_mapping(mapping: Mapping, names: Sequence[str]) -> None:
    """Raise Invalid if the mapping does not fit. Without `names`, the rows are conversations already."""
    if not names:
        raise Invalid(
            "Every row of this file is a conversation already, so there are no columns to choose.",
            code="mapping_not_needed",
            param="mapping",
        )
    chosen = {"question": mapping.question, "answer": mapping.answer, "system": mapping.system}
    for role, name in chosen.items():
        if name is not None and name not in names:
            raise Invalid(
                f"The file has no column {refusals.quoted(name)}. Choose one of: {', '.join(names)}.",
                code="mapping_column_unknown",
                param=f"mapping.{role}",
            )
    if mapping.question == mapping.answer:
        raise Invalid(
            "The question and the answer cannot be the same column.", code="mapping_same_column", param="mapping"
        )


def example_like_cell(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """A cell that gives the first row away as an example and not column names; None if it may well be a header.

    A known name settles it. Else a cell is suspicious only together with the column below it: both numbers, both long,
    both sentences, or the very same value again. So a questionnaire's header ("What did you ask?") passes.
    """
    # one letter may well be an answer
    known = {name for candidates in _NAMES.values() for name in candidates if len(name) > 1} | {"id"}
    if any(cell.strip().casefold() in known for cell in header):
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


def _named(candidates: Sequence[str], names: Sequence[str], *, is_whole_name: bool) -> str | None:
    for candidate in candidates:
        for name in names:
            words = _WORDS.findall(name.casefold())
            # a single letter is a name of its own, not a part of one
            if "".join(words) == candidate if is_whole_name else len(candidate) > 1 and candidate in words:
                return name
    return None


def _texts(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
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
