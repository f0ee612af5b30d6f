"""Alpaca's `{"instruction", "input", "output", "system", "history": [["…", "…"]]}`.

Without a history it is a table like any other: its columns are proposed, and can be changed.
"""

from typing import Final

from core.datasets import rows
from core.datasets.formats import conversations, refusals
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape

_TURN: Final = 2
_LINE: Final = '{"instruction": "…", "input": "…", "output": "…", "history": [["…", "…"]]}'


def _is_line(values: Values) -> bool:
    return {"instruction", "output", "history"} <= values.keys() and isinstance(values["history"], list | None)


def _read(row: int, values: Values) -> RowContent:
    for name in ("instruction", "output"):
        if name not in values:
            raise missing(row, "alpaca_malformed", name)
    texts = {name: _text(row, name, values.get(name)) for name in ("system", "instruction", "input", "output")}
    messages = [{"role": "system", "content": texts["system"]}] if texts["system"].strip() else []
    for index, turn in enumerate(values.get("history") or []):
        place = f"history[{index}]"
        if not isinstance(turn, list) or len(turn) != _TURN:
            raise _malformed(row, place, "An earlier turn is what was said and what was answered.")
        said, answered = (_text(row, place, text) for text in turn)
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": answered}]
    messages += [
        {"role": "user", "content": rows.joined(texts["instruction"], texts["input"])},
        {"role": "assistant", "content": texts["output"]},
    ]
    return conversations.conversation(row, {"messages": messages})


def _text(row: int, place: str, value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise _malformed(row, place, "This is not a text.")
    return value or ""


def _malformed(row: int, place: str, cause: str) -> Exception:
    return refusals.refuse("alpaca_malformed", row=row, column=place, cause=cause, fix=f"Write {_LINE}.")


ALPACA = LineShape(
    name=Shape.ALPACA,
    kind=RowKind.CHAT,
    called="an instruction with its history",
    is_line=_is_line,
    read=_read,
)
