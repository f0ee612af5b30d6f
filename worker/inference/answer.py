"""From the tokens of one answer to what is sent of it: text, log probabilities, calls of tools."""

from collections.abc import Collection, Sequence

import torch

from core.inference.types import DeltaLine, Sampling, TokenLogprob, ToolCall
from worker.inference.call_reader import CallReader
from worker.inference.logprobs import LogprobStream, Told
from worker.inference.text_stream import TextStream
from worker.training.data.chat_format import ChatFormat


class Answer:
    """With `tools`, the names of functions, the model's calls of them are told as calls."""

    def __init__(
        self,
        chat_format: ChatFormat,
        sampling: Sampling,
        *,
        tools: Collection[str] = (),
        may_call_several: bool = True,
    ) -> None:
        syntax = chat_format.call_syntax if tools else None
        self._calls = CallReader(syntax, tools, may_call_several=may_call_several) if syntax else None
        self._text = TextStream(chat_format.decode_calls if syntax else chat_format.decode, sampling.stop)
        num_top = sampling.top_logprobs
        self._logprobs = None if num_top is None else LogprobStream(chat_format, num_top)
        self.has_calls = False

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string is complete."""
        return self._text.is_stopped

    @property
    def is_over(self) -> bool:
        return self._text.is_stopped or (self._calls is not None and self._calls.is_over)

    def push(self, token_id: int, scores: torch.Tensor | Told) -> DeltaLine | None:
        """Take a token, and what the model thought of its place; returns what became certain."""
        if self._logprobs:
            self._logprobs.push(token_id, scores, begin=self._text.num_read)
        text = self._text.push(token_id)
        if self._calls:
            text = self._calls.push(text)
        return self._line(text, num_held=self._calls.num_held if self._calls else 0)

    def finish(self) -> DeltaLine | None:
        """The rest, when no more tokens will come."""
        text = self._text.finish()
        if not self._calls:
            return self._line(text)
        text = self._calls.push(text)
        num_held = self._calls.num_held
        rest, calls = self._calls.finish()
        self.has_calls = bool(calls)
        return self._line(text + rest, calls, num_held=num_held if calls else 0)

    def _line(self, text: str, calls: Sequence[ToolCall] = (), *, num_held: int = 0) -> DeltaLine | None:
        """`num_held` characters of what the text stream has passed are not part of the text sent so far."""
        if not text and not calls:
            return None
        logprobs: tuple[TokenLogprob, ...] = ()
        if self._logprobs:
            logprobs = self._logprobs.take(first=self._text.num_dropped, end=self._text.num_passed - num_held)
        return DeltaLine(text=text, logprobs=logprobs, tool_calls=tuple(calls))
