"""One answer in the making."""

import threading
from collections.abc import Callable, Collection, Sequence

import torch

from core.errors import AppError, Invalid
from core.inference.types import DeltaLine, DoneLine, FinishReason, Sampling, StreamLine, Usage
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.answer import Answer
from worker.inference.constraints import TokenMask
from worker.inference.failures import error_line
from worker.inference.prefix_cache import Owner
from worker.inference.runtime import BaseRuntime, DecodeRow
from worker.inference.sampling import Sampler

Sink = Callable[[StreamLine], None]


class Generation:
    """State of a sequence. The scheduler's thread drives it; `cancel` may be called by any.

    `sink` is called on the scheduler's thread, must not block, and gets exactly one last line (done or error), unless
    the generation was cancelled.
    """

    def __init__(
        self,
        runtime: BaseRuntime,
        prompt_ids: Sequence[int],
        sampling: Sampling,
        sink: Sink,
        adapter: AdapterWeights | None = None,
        *,
        tools: Collection[str] = (),
        may_call_several: bool = True,
        mask: TokenMask | None = None,
        workspace_id: str = "",
    ) -> None:
        self.runtime = runtime
        self.workspace_id = workspace_id
        self.prompt_ids = prompt_ids
        self.adapter = adapter
        self.num_prefilled = 0
        self.num_recalled = 0
        self._sampler = Sampler(sampling, mask)
        self._answer = Answer(runtime.chat_format, sampling, tools=tools, may_call_several=may_call_several)
        self._sink = sink
        self._num_virtual = adapter.num_virtual_tokens if adapter else 0
        self._max_tokens = min(sampling.max_tokens, runtime.context_tokens - len(prompt_ids) - self._num_virtual)
        self._token_ids: list[int] = []
        self._seconds = 0.0
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def num_cached(self) -> int:
        """Places of the cache that hold something: all tokens but the newest, which the next step will write."""
        num_virtual = self._num_virtual if self.num_prefilled else 0
        return num_virtual + self.num_prefilled + len(self._token_ids[:-1])

    @property
    def cached_ids(self) -> Sequence[int]:
        return [*self.prompt_ids[: self.num_prefilled], *self._token_ids[:-1]]

    @property
    def prefix_owner(self) -> Owner | None:
        return Owner(self.workspace_id, self.adapter.digest if self.adapter else None) if self.workspace_id else None

    def cancel(self) -> None:
        self._cancelled.set()

    def spend(self, seconds: float) -> None:
        self._seconds += seconds

    def next_row(self) -> DecodeRow:
        return DecodeRow(self._token_ids[-1], self.num_cached, self.adapter)

    def take(self, scores: torch.Tensor) -> bool:
        """Choose the next token and send what became certain. True when this was the last."""
        try:
            token_id = self._sampler.choose(scores)
        except Invalid as error:
            # of this answer alone: what its schema costs is bounded
            self.fail(error)
            return True
        self._token_ids.append(token_id)
        if token_id in self.runtime.end_ids:
            return self._finish("stop")
        self._send(self._answer.push(token_id, scores))
        if self._answer.is_over or self._sampler.is_complete:
            return self._finish("stop")
        if len(self._token_ids) >= self._max_tokens:
            return self._finish("length")
        return False

    def fail(self, error: AppError) -> None:
        self._sink(error_line(error))

    def _finish(self, reason: FinishReason) -> bool:
        self._send(self._answer.finish())
        usage = Usage(
            prompt_tokens=len(self.prompt_ids),
            cached_tokens=self.num_recalled,
            completion_tokens=len(self._token_ids),
            seconds=round(self._seconds, 6),
            hardware=self.runtime.hardware,
        )
        if self._answer.has_calls:
            reason = "tool_calls"
        elif self._answer.is_stopped:
            # the last tokens may complete a stop string that was held back as a part
            reason = "stop"
        self._sink(DoneLine(finish_reason=reason, usage=usage))
        return True

    def _send(self, line: DeltaLine | None) -> None:
        if line:
            self._sink(line)
