"""From the tokens of one answer to the lines of its reader, whatever computed them."""

from collections.abc import Collection
from typing import Final, Literal

import torch

from core.errors import AppError
from core.inference.types import DeltaLine, DoneLine, FinishReason, Sampling, Usage
from worker.inference.answer import Answer
from worker.inference.contract import Sink, Writer
from worker.inference.failures import error_line
from worker.inference.logprobs import Told

NO_TOOLS: Final[Collection[str]] = ()


class Delivery:
    """Counts, sends what became certain, and knows when it is over. Not safe for threads."""

    def __init__(
        self,
        writer: Writer,
        sampling: Sampling,
        sink: Sink,
        *,
        num_prompt_tokens: int,
        num_virtual_tokens: int = 0,
        tools: Collection[str] = NO_TOOLS,
        may_call_several: bool = True,
    ) -> None:
        self._writer = writer
        self._sink = sink
        self._num_prompt_tokens = num_prompt_tokens
        self._answer = Answer(writer.chat_format, sampling, tools=tools, may_call_several=may_call_several)
        self.max_tokens = min(sampling.max_tokens, writer.context_tokens - num_prompt_tokens - num_virtual_tokens)
        self.num_tokens = 0
        # of the prompt's tokens, those that were not read again
        self.num_recalled = 0
        self.seconds = 0.0
        self.waiting_s: float | None = None

    def take(self, token_id: int, scores: torch.Tensor | Told, *, is_complete: bool = False) -> bool:
        """The next token, and what the model thought of its place. True when this was the last.

        `is_complete`: nothing more may be said after it.
        """
        self.num_tokens += 1
        if token_id in self._writer.end_ids:
            return self.finish("stop")
        self._send(self._answer.push(token_id, scores))
        if self._answer.is_over or is_complete:
            return self.finish("stop")
        if self.num_tokens >= self.max_tokens:
            return self.finish("length")
        return False

    def finish(self, reason: Literal["stop", "length"]) -> bool:
        self._send(self._answer.finish())
        usage = Usage(
            prompt_tokens=self._num_prompt_tokens,
            cached_tokens=self.num_recalled,
            completion_tokens=self.num_tokens,
            seconds=round(self.seconds, 6),
            hardware=self._writer.hardware,
            waiting_s=self.waiting_s,
        )
        told: FinishReason = reason
        if self._answer.has_calls:
            told = "tool_calls"
        elif self._answer.is_stopped:
            # the last tokens may complete a stop string that was held back as a part
            told = "stop"
        self._sink(DoneLine(finish_reason=told, usage=usage))
        return True

    def fail(self, error: AppError) -> None:
        self._sink(error_line(error))

    def _send(self, line: DeltaLine | None) -> None:
        if line:
            self._sink(line)
