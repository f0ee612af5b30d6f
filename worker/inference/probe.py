"""A sequence whose tokens are known beforehand: what is wanted of it is what the model says at its last places."""

import threading
from collections.abc import Sequence

import torch

from core.errors import AppError, Unavailable
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.runtime import BaseRuntime, DecodeRow


class Probe:
    """Goes through the scheduler as an answer does: prompt, cache, mixed batches. `scores` may be called by any thread.

    The prompt is all of `token_ids` up to the first of the `num_places`; each later token is a step of its own.
    """

    def __init__(
        self,
        runtime: BaseRuntime,
        token_ids: Sequence[int],
        num_places: int,
        adapter: AdapterWeights | None,
    ) -> None:
        self.runtime = runtime
        self.workspace_id: str | None = None
        self.prompt_ids = token_ids[: len(token_ids) - num_places + 1]
        self.adapter = adapter
        self.num_prefilled = 0
        self.num_recalled = 0
        self._forced = token_ids[len(self.prompt_ids) :]
        self._num_virtual = adapter.num_virtual_tokens if adapter else 0
        self._scores: list[torch.Tensor] = []
        self._error: AppError | None = None
        self._over = threading.Event()
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        return self._cancelled.is_set()

    @property
    def num_cached(self) -> int:
        num_virtual = self._num_virtual if self.num_prefilled else 0
        return num_virtual + self.num_prefilled + max(0, len(self._scores) - 1)

    @property
    def cached_ids(self) -> Sequence[int]:
        return [*self.prompt_ids[: self.num_prefilled], *self._forced[: max(0, len(self._scores) - 1)]]

    @property
    def prefix_owner(self) -> None:
        """All of it is computed here and now, or it would prove nothing."""

    def cancel(self) -> None:
        self._cancelled.set()

    def spend(self, seconds: float) -> None:
        """Nobody pays for it."""

    def next_row(self) -> DecodeRow:
        return DecodeRow(self._forced[len(self._scores) - 1], self.num_cached, self.adapter)

    def take(self, scores: torch.Tensor) -> bool:
        self._scores.append(scores.clone())
        is_last = len(self._scores) > len(self._forced)
        if is_last:
            self._over.set()
        return is_last

    def fail(self, error: AppError) -> None:
        self._error = error
        self._over.set()

    def scores(self, *, timeout_s: float) -> torch.Tensor:
        """One row a place. Raises what the runtime failed with, or `Unavailable` when it took too long."""
        if not self._over.wait(timeout_s):
            self.cancel()
            raise Unavailable(
                "The model server is too busy to check this model before its first answer. Try again in a minute.",
                code="inference_timeout",
            )
        if self._error:
            raise self._error
        return torch.stack(self._scores)
