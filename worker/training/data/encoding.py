"""Rows of each kind to sequences of tokens, each with the weight that its prediction has in the loss.

Imports no torch: the processes that tokenize side by side start in a fraction of a second.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.datasets.types import RowKind
from core.errors import Invalid
from worker.training.data.chat_format import ChatFormat

SEQUENCES_PER_EXAMPLE: Final = {RowKind.CHAT: 1, RowKind.PREFERENCE: 2, RowKind.TEXT: 1}


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """`weights[i]` is the weight of the prediction *of* `token_ids[i]`; 0 at the first, which nothing predicts."""

    token_ids: list[int]
    weights: list[float]

    @property
    def is_trained(self) -> bool:
        return any(self.weights)


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


def encode_lines(lines: Sequence[str], *, kind: RowKind, chat_format: ChatFormat, max_length: int) -> Encoded:
    """Raises Invalid, naming the row, for one that the chat format refuses."""
    encode = _ENCODERS[kind]
    kept: list[TokenSequence] = []
    num_cut_rows = num_dropped_rows = 0
    for line in lines:
        row = json.loads(line)
        try:
            examples, is_cut = encode(row, chat_format, max_length)
        except Invalid as problem:
            number = row.get("number")
            raise Invalid(
                f"Row {number}: {problem.message}", code=problem.error_code, details={"row": number}
            ) from problem
        taught = [example for example in examples if all(sequence.is_trained for sequence in example)]
        kept.extend(sequence for example in taught for sequence in example)
        num_cut_rows += is_cut
        num_dropped_rows += not taught
    return Encoded(
        token_ids=np.fromiter(chain.from_iterable(one.token_ids for one in kept), dtype=np.uint32),
        weights=np.fromiter(chain.from_iterable(one.weights for one in kept), dtype=np.float32),
        lengths=np.asarray([len(one.token_ids) for one in kept], dtype=np.int64),
        num_rows=len(lines),
        num_cut_rows=num_cut_rows,
        num_dropped_rows=num_dropped_rows,
    )


_Examples = tuple[list[tuple[TokenSequence, ...]], bool]


def _encode_chat(row: dict[str, Any], chat_format: ChatFormat, max_length: int) -> _Examples:
    sequence, num_cut = _conversation(chat_format, row["messages"], row.get("tools"), max_length)
    return [(sequence,)], num_cut > 0


def _encode_preference(row: dict[str, Any], chat_format: ChatFormat, max_length: int) -> _Examples:
    """Only the two answers are compared: what the assistant said before belongs to the prompt."""
    prompt = [message | {"weight": 0} if message["role"] == "assistant" else message for message in row["messages"]]
    sides = [
        _conversation(chat_format, [*prompt, *row[side]], row.get("tools"), max_length)
        for side in ("chosen", "rejected")
    ]
    return [tuple(sequence for sequence, _ in sides)], any(num_cut for _, num_cut in sides)


def _encode_text(row: dict[str, Any], chat_format: ChatFormat, max_length: int) -> _Examples:
    """A text longer than `max_length` becomes several examples: nothing of it is lost, so nothing is cut."""
    token_ids = chat_format.encode_text(row["text"])
    pieces = [token_ids[begin : begin + max_length] for begin in range(0, len(token_ids), max_length)]
    return [(TokenSequence(piece, [0.0] + [1.0] * (len(piece) - 1)),) for piece in pieces if len(piece) > 1], False


def _conversation(
    chat_format: ChatFormat, messages: Sequence[Any], tools: list[Any] | None, max_length: int
) -> tuple[TokenSequence, int]:
    chat = chat_format.tokenize(messages, tools=tools, max_length=max_length)
    return TokenSequence(chat.token_ids, [0.0, *chat.weights[1:]]), chat.num_cut


_ENCODERS: Final[dict[RowKind, Callable[[dict[str, Any], ChatFormat, int], _Examples]]] = {
    RowKind.CHAT: _encode_chat,
    RowKind.PREFERENCE: _encode_preference,
    RowKind.TEXT: _encode_text,
}
