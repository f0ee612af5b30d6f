"""Log probabilities beside the text of an answer."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from core.inference.types import TokenLogprob, TopLogprob
from worker.training.data.chat_format import ChatFormat

# JSON has no infinity; the wire's word for "very unlikely"
_LEAST: float = -9999.0


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a place without its scores: log probabilities by token id, the highest of `top` first."""

    chosen: float
    top: Sequence[tuple[int, float]] = ()


class LogprobStream:
    """Keeps each token's entry until the text is sent that it begins.

    A token of whose text nothing is sent, as a special one or one inside of a stop string, is not told at all.
    """

    def __init__(self, chat_format: ChatFormat, num_top: int) -> None:
        self._chat_format = chat_format
        self._num_top = num_top
        self._pending: deque[tuple[int, TokenLogprob]] = deque()

    def push(self, token_id: int, scores: torch.Tensor | Told, *, begin: int) -> None:
        """`scores` are the model's own for this place; `begin` is where in the decoded text the token's begins."""
        if self._chat_format.bytes_of(token_id) is None:
            return
        told = scores if isinstance(scores, Told) else self._told(token_id, scores)
        own = self._entry(token_id, told.chosen)
        top = tuple(self._entry(one, value) for one, value in told.top[: self._num_top])
        self._pending.append((begin, TokenLogprob(**own.model_dump(), top_logprobs=top)))

    def _told(self, token_id: int, scores: torch.Tensor) -> Told:
        logprobs = torch.log_softmax(scores, dim=-1)
        top: list[tuple[int, float]] = []
        if self._num_top:
            values, ids = logprobs.topk(min(self._num_top, len(logprobs)))
            top = list(zip(ids.tolist(), values.tolist(), strict=True))
        return Told(chosen=float(logprobs[token_id]), top=top)

    def take(self, *, first: int, end: int) -> tuple[TokenLogprob, ...]:
        """The entries of the tokens that begin before `end`; those that begin before `first` are forgotten."""
        return tuple(entry for begin, entry in self._until(end) if begin >= first)

    def _until(self, end: int) -> Iterator[tuple[int, TokenLogprob]]:
        while self._pending and self._pending[0][0] < end:
            yield self._pending.popleft()

    def _entry(self, token_id: int, logprob: float) -> TopLogprob:
        found = self._chat_format.bytes_of(token_id)
        return TopLogprob(
            # a token may hold a part of a character, which is written in code, as OpenAI does
            token=self._chat_format.literal(token_id) if found is None else found.decode(errors="backslashreplace"),
            bytes=None if found is None else tuple(found),
            logprob=max(_LEAST, logprob),
        )
