"""One answer in the making, by our own runtime."""

import threading
from collections.abc import Callable, Collection, Sequence
from time import monotonic

import torch

from core.errors import AppError, Invalid
from core.inference.types import Sampling
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.constraints import TokenMask
from worker.inference.contract import Sink
from worker.inference.delivery import Delivery
from worker.inference.prefix_cache import Owner
from worker.inference.runtime import BaseRuntime, DecodeRow
from worker.inference.sampling import Sampler


class Generation:
    """State of a sequence. The scheduler's thread drives it; `cancel` may be called by any."""

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
        self._num_virtual = adapter.num_virtual_tokens if adapter else 0
        self._delivery = Delivery(
            runtime,
            sampling,
            sink,
            num_prompt_tokens=len(prompt_ids),
            num_virtual_tokens=self._num_virtual,
            tools=tools,
            may_call_several=may_call_several,
        )
        self._token_ids: list[int] = []
        self._made_s = monotonic()
        self._cancelled = threading.Event()
        # holds nothing of this: a client that is slow to read the rest must not keep a base model in memory
        self.cancel: Callable[[], None] = self._cancelled.set

    @property
    def fingerprint(self) -> str:
        return self.runtime.fingerprint

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.prompt_ids)

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

    def spend(self, seconds: float) -> None:
        if self._delivery.waiting_s is None:
            self._delivery.waiting_s = round(max(0.0, monotonic() - self._made_s - seconds), 6)
        self._delivery.seconds += seconds

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
        self._delivery.num_recalled = self.num_recalled
        return self._delivery.take(token_id, scores, is_complete=self._sampler.is_complete)

    def fail(self, error: AppError) -> None:
        self._delivery.fail(error)
