"""A row as the model will see it: what the template adds, what is learned and how much, and what is cut off.

Made for a page, so nothing here is needed to train. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from core.datasets.types import RowKind
from worker.training.data.chat_format import ChatFormat, Piece
from worker.training.data.chat_format import PieceKind as SpanKind

SequenceName = Literal["chat", "chosen", "rejected", "text"]


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring tokens of one kind, weight and side of the cut; `text` is theirs.

    `kind`: `special` tokens, words that the `template` adds, or the row's own `text`.
    """

    text: str
    weight: float
    kind: SpanKind
    is_cut: bool
    num_tokens: int


@dataclass(frozen=True, slots=True)
class SequenceView:
    """One sequence of a row, whole: the texts of its spans, one after another, are the sequence."""

    name: SequenceName
    spans: list[Span]
    num_tokens: int
    """Within `max_length`."""
    num_trained: int
    num_cut: int


def view(chat_format: ChatFormat, row: Mapping[str, Any], kind: RowKind, max_length: int) -> list[SequenceView]:
    """The sequences that training makes of a row of a run folder: two of a preference, one of any other.

    Raises Invalid for a row that the chat format refuses.
    """
    if kind is RowKind.TEXT:
        # a long text becomes several examples, so nothing of it is cut; nothing predicts the first token of each
        pieces = chat_format.explain_text(row["text"])
        firsts = range(0, len(pieces), max_length)
        pieces = [replace(piece, weight=0.0) if at in firsts else piece for at, piece in enumerate(pieces)]
        return [_sequence("text", pieces, len(pieces))]
    if kind is RowKind.CHAT:
        return [_conversation(chat_format, "chat", row, row["messages"], max_length)]
    prompt = [message | {"weight": 0} if message["role"] == "assistant" else message for message in row["messages"]]
    sides: tuple[SequenceName, SequenceName] = ("chosen", "rejected")
    return [_conversation(chat_format, side, row, [*prompt, *row[side]], max_length) for side in sides]


def _conversation(
    chat_format: ChatFormat, name: SequenceName, row: Mapping[str, Any], messages: list[Any], max_length: int
) -> SequenceView:
    return _sequence(name, chat_format.explain(messages, tools=row.get("tools")), max_length)


def _sequence(name: SequenceName, pieces: list[Piece], max_length: int) -> SequenceView:
    def class_of(at: int) -> tuple[SpanKind, float, bool]:
        # nothing predicts the first token
        return pieces[at].kind, pieces[at].weight if at else 0.0, at >= max_length

    spans = []
    for (kind, weight, is_cut), group in groupby(range(len(pieces)), key=class_of):
        places = list(group)
        spans.append(Span("".join(pieces[at].text for at in places), weight, kind, is_cut, len(places)))
    return SequenceView(
        name,
        spans,
        num_tokens=sum(span.num_tokens for span in spans if not span.is_cut),
        num_trained=sum(span.num_tokens for span in spans if span.weight > 0 and not span.is_cut),
        num_cut=sum(span.num_tokens for span in spans if span.is_cut),
    )
