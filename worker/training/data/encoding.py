"""Rows of each kind to sequences of tokens, each with the weight that its prediction has in the loss.

Imports no torch: the processes that tokenize side by side start in a fraction of a second.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.datasets.types import RowKind
from core.errors import Invalid
from worker.training.data.chat_format import ChatFormat, TokenizedChat

SEQUENCES_PER_EXAMPLE: Final = {RowKind.CHAT: 1, RowKind.PREFERENCE: 2, RowKind.TEXT: 1}


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """`weights[i]` is the weight of the prediction *of* `token_ids[i]`; 0 at the first, which nothing predicts."""

    token_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]

    @classmethod
    def of(cls, token_ids: Sequence[int], weights: Sequence[float]) -> "TokenSequence":
        found = cls(np.array(token_ids, dtype=np.uint32), np.array(weights, dtype=np.float32))
        found.weights[:1] = 0
        return found

    @property
    def is_trained(self) -> bool:
        return bool(self.weights.any())


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that this base model's chat format refuses, and its words for that."""

    row: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """Examples of some rows, end to end; each is `SEQUENCES_PER_EXAMPLE[kind]` sequences, the preferred one first.

    Arrays, because they travel between processes.
    """

    token_ids: NDArray[np.uint32]
    weights: NDArray[np.float32]
    lengths: NDArray[np.int64]
    """Of each sequence."""
    num_rows: int
    num_cut_rows: int
    num_dropped_rows: int
    """Rows that teach nothing, for want of a trained token within the longest allowed length."""
    refusals: tuple[Refusal, ...]
    """Of rows that are left out because the chat format cannot write them; in their order."""


def encode_lines(lines: Sequence[str], *, kind: RowKind, chat_format: ChatFormat, max_length: int) -> Encoded:
    rows = [json.loads(line) for line in lines]
    kept: list[TokenSequence] = []
    refusals: list[Refusal] = []
    num_cut_rows = num_dropped_rows = 0
    for row, found in zip(rows, _ENCODERS[kind](rows, chat_format, max_length), strict=True):
        if isinstance(found, Invalid):
            refusals.append(Refusal(row["number"], found.error_code, found.message))
            continue
        taught = [example for example in found.examples if all(sequence.is_trained for sequence in example)]
        kept.extend(sequence for example in taught for sequence in example)
        num_cut_rows += found.is_cut
        num_dropped_rows += not taught
    return Encoded(
        token_ids=np.concatenate([np.empty(0, dtype=np.uint32), *(one.token_ids for one in kept)]),
        weights=np.concatenate([np.empty(0, dtype=np.float32), *(one.weights for one in kept)]),
        lengths=np.asarray([len(one.token_ids) for one in kept], dtype=np.int64),
        num_rows=len(lines),
        num_cut_rows=num_cut_rows,
        num_dropped_rows=num_dropped_rows,
        refusals=tuple(refusals),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    examples: list[tuple[TokenSequence, ...]]
    is_cut: bool


def _encode_chats(rows: Sequence[Any], chat_format: ChatFormat, max_length: int) -> Iterator[_Row | Invalid]:
    chats = [(row["messages"], row.get("tools")) for row in rows]
    return map(_row_of, chat_format.tokenize_all(chats, max_length=max_length))


def _encode_preferences(rows: Sequence[Any], chat_format: ChatFormat, max_length: int) -> Iterator[_Row | Invalid]:
    """Only the two answers are compared: what the assistant said before belongs to the prompt."""
    chats: list[tuple[list[Any], Any]] = []
    for row in rows:
        prompt = [one | {"weight": 0} if one["role"] == "assistant" else one for one in row["messages"]]
        chats.extend(([*prompt, *row[side]], row.get("tools")) for side in ("chosen", "rejected"))
    encoded = chat_format.tokenize_all(chats, max_length=max_length)
    return map(_row_of, encoded[0::2], encoded[1::2])


def _row_of(*sides: TokenizedChat | Invalid) -> _Row | Invalid:
    """Of one example: a conversation, or both sides of a preference."""
    sequences, is_cut = [], False
    for side in sides:
        if isinstance(side, Invalid):
            return side
        sequences.append(TokenSequence.of(side.token_ids, side.weights))
        is_cut |= side.num_cut > 0
    return _Row([tuple(sequences)], is_cut)


def _encode_texts(rows: Sequence[Any], chat_format: ChatFormat, max_length: int) -> Iterator[_Row | Invalid]:
    """A text longer than `max_length` becomes several examples: nothing of it is lost, so nothing is cut."""
    for row in rows:
        try:
            ids = chat_format.encode_text(row["text"])
        except Invalid as problem:
            yield problem
            continue
        pieces = [ids[begin : begin + max_length] for begin in range(0, len(ids), max_length)]
        yield _Row([(TokenSequence.of(one, [1.0] * len(one)),) for one in pieces if len(one) > 1], is_cut=False)


_ENCODERS: Final[dict[RowKind, Callable[[Sequence[Any], ChatFormat, int], Iterator[_Row | Invalid]]]] = {
    RowKind.CHAT: _encode_chats,
    RowKind.PREFERENCE: _encode_preferences,
    RowKind.TEXT: _encode_texts,
}
