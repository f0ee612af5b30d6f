"""A run's rows as token indexes, and what is said of rows that lose something, or are left out.

A row that this base model's chat format refuses is left out of the run: it is neither learned nor measured with, and
nothing is computed or charged for it. Where that would be too much of the data, another model would be trained than
was asked for: the run ends before it begins, free of charge.
"""

from functools import partial
from pathlib import Path
from typing import Any, Final

from core.errors import Invalid
from core.training.objectives import row_kind_of
from core.training.spec import RunInput
from worker.training.data import token_index
from worker.training.data.token_index import TokenIndex
from worker.training.events import EventWriter

MAX_REFUSED_SHARE: Final = 0.25
"""Of the training rows. Held-out rows may be refused until one is left, since they only measure."""
_ROWS_PER_MESSAGE = 20_000


def tokenize(folder: Path, run: RunInput, events: EventWriter) -> tuple[TokenIndex, TokenIndex]:
    """Of the training and of the held-out rows; encoded by as many processes as the run has threads.

    Raises Invalid where no row is left, or too many are refused.
    """
    build = partial(
        token_index.build,
        kind=row_kind_of(run.objective),
        model_dir=run.base_model_dir,
        max_length=run.max_length_tokens,
        num_workers=run.num_threads,
    )
    progress = _Progress(events)
    train = build(folder / "train.jsonl", folder / "index" / "train", on_progress=progress)
    _refuse_if_too_many_are_refused(train)
    heldout = build(
        folder / "heldout.jsonl", folder / "index" / "heldout", max_rows=run.max_heldout_rows, on_progress=progress
    )
    for index, name in ((train, "training"), (heldout, "held-out")):
        if index.num_examples == 0:
            raise Invalid(
                _why_none_is_left(index, name, run.max_length_tokens),
                code="no_usable_rows",
                details={"num_dropped": index.num_dropped_rows, "max_length_tokens": run.max_length_tokens},
            )
        _say_what_is_lost(index, name, run.max_length_tokens, events)
    return train, heldout


class _Progress:
    def __init__(self, events: EventWriter) -> None:
        self._events, self._said = events, 0

    def __call__(self, num_rows: int) -> None:
        self._events.alive()
        if num_rows >= self._said + _ROWS_PER_MESSAGE:
            self._said = num_rows
            self._events.message(f"{num_rows:,} examples are read.")


def _refuse_if_too_many_are_refused(train: TokenIndex) -> None:
    if train.first_refusal is not None and train.num_refused_rows > MAX_REFUSED_SHARE * train.num_rows:
        raise Invalid(
            f"{train.num_refused_rows} of {train.num_rows} training examples cannot be written in this base model's "
            f"chat format, which is more than {MAX_REFUSED_SHARE:.0%} of them. {_first_of(train)}",
            code="too_many_rows_refused",
            details=_refused(train),
        )


def _why_none_is_left(index: TokenIndex, name: str, max_length: int) -> str:
    if index.num_rows == 0:
        return f"There is no {name} example."
    if index.num_refused_rows == index.num_rows:
        return f"No {name} example can be written in this base model's chat format. {_first_of(index)}"
    if index.num_cut_rows:
        return (
            f"No {name} example has an answer within {max_length} tokens. "
            "Shorten the questions, or allow longer examples."
        )
    return f"There is nothing to learn in any {name} example: every answer is empty or has the weight 0."


def _say_what_is_lost(index: TokenIndex, name: str, max_length: int, events: EventWriter) -> None:
    lost = []
    if index.num_cut_rows:
        lost.append(f"Cut: {_examples(index.num_cut_rows, name)} lost what is beyond {max_length} tokens.")
    if index.num_dropped_rows:
        lost.append(
            f"Left out: {_examples(index.num_dropped_rows, name)} with nothing to learn within {max_length} tokens."
        )
    if lost:
        data = {"num_cut": index.num_cut_rows, "num_dropped": index.num_dropped_rows}
        events.message(" ".join(lost), level="warn", data=data)
    if index.first_refusal is not None:
        events.message(
            f"Left out: {index.num_refused_rows} of {_examples(index.num_rows, name)}, which cannot be written in this "
            f"base model's chat format. {_first_of(index)}",
            level="warn",
            data=_refused(index),
        )


def _examples(num: int, name: str) -> str:
    return f"{num} {name} example{'' if num == 1 else 's'}"


def _first_of(index: TokenIndex) -> str:
    first = index.first_refusal
    return "" if first is None else f"The first is row {first.row}: {first.reason}"


def _refused(index: TokenIndex) -> dict[str, Any]:
    first = index.first_refusal
    named = {} if first is None else {"row": first.row, "reason": first.code}
    return {"num_refused": index.num_refused_rows, "num_rows": index.num_rows, **named}
