"""Who computes next. One thread owns every forward pass; sequences of one base model advance together.

A turn of a base model is at most one piece of one prompt, then one token for every sequence under way, so a long prompt
delays the others by a piece and never by the whole. Base models with work take turns.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import torch

from core.errors import AppError
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.failures import queue_full, restarting, too_many_chats
from worker.inference.prefix_cache import Owner
from worker.inference.runtime import BaseRuntime, DecodeRow

logger = logging.getLogger(__name__)

MAX_ACTIVE: Final = 8
MAX_WAITING: Final = 32
# of all places, active and waiting, those that one workspace may have
MAX_PER_WORKSPACE: Final = 16
_PREFILL_TOKENS: Final = 256


class Work(Protocol):
    """What is computed: an answer in the making, or a probe of what the model says. Its row is the scheduler's."""

    runtime: BaseRuntime
    prompt_ids: Sequence[int]
    adapter: AdapterWeights | None
    num_prefilled: int
    num_recalled: int

    @property
    def workspace_id(self) -> str | None:
        """Whose places it takes; the house's own work takes nobody's, and comes no sooner for that."""

    @property
    def is_cancelled(self) -> bool: ...

    @property
    def num_cached(self) -> int: ...

    @property
    def cached_ids(self) -> Sequence[int]:
        """The tokens whose keys and values its row holds; an adapter's learned vectors stand before them."""

    @property
    def prefix_owner(self) -> Owner | None:
        """Who may be helped by what was read for it, and whose readings may help it; None for nobody's."""

    def spend(self, seconds: float) -> None: ...

    def next_row(self) -> DecodeRow: ...

    def take(self, scores: torch.Tensor) -> bool: ...

    def fail(self, error: AppError) -> None: ...


class Lane:
    """The sequences of one base model. Row i of its cache is `ready[i]`'s; a prompt being read has the row after."""

    def __init__(self, runtime: BaseRuntime) -> None:
        self.runtime = runtime
        self.waiting: deque[Work] = deque()
        self.ready: list[Work] = []
        self.reading: Work | None = None

    @property
    def has_work(self) -> bool:
        return bool(self.waiting or self.ready or self.reading)

    @property
    def active(self) -> list[Work]:
        reading = self.reading
        return [*self.ready, *([reading] if reading else [])]

    @property
    def num_active(self) -> int:
        return len(self.active)

    def num_of(self, workspace_id: str) -> int:
        """How many of a workspace are being answered or wait for it."""
        everyone = [*self.waiting, *self.active]
        return sum(one.workspace_id == workspace_id and not one.is_cancelled for one in everyone)

    def forget_who_left(self) -> None:
        """Take out of the queue whoever hung up while waiting."""
        for one in [one for one in self.waiting if one.is_cancelled]:
            self.waiting.remove(one)

    def next_waiting(self) -> Work:
        """Of the workspace that is being answered least; among equals, who came first."""
        active = Counter(one.workspace_id for one in self.active)
        found = min(self.waiting, key=lambda one: active[one.workspace_id])
        self.waiting.remove(found)
        return found

    def drop_cancelled(self) -> None:
        if self.reading and self.reading.is_cancelled:
            self.reading = None
        for row in reversed(range(len(self.ready))):
            if self.ready[row].is_cancelled:
                self._leave(row)

    def read_prompt(self) -> None:
        """One piece of the prompt whose turn it is."""
        generation = self.reading
        if generation is None:
            return
        row = len(self.ready)
        if generation.num_prefilled == 0:
            self._recall(row, generation)
        begin = generation.num_prefilled
        piece = generation.prompt_ids[begin : begin + _PREFILL_TOKENS]
        started = time.perf_counter()
        scores = self.runtime.prefill(row, piece, begin, generation.adapter)
        generation.spend(time.perf_counter() - started)
        generation.num_prefilled += len(piece)
        if generation.num_prefilled < len(generation.prompt_ids):
            return
        self.reading = None
        self.ready.append(generation)
        if self._is_over(row, scores):
            self._leave(row)
        else:
            # not only once it is answered: whoever asks the same meanwhile is helped too
            self._keep(row)

    def decode(self) -> None:
        """One token for every sequence that is past its prompt."""
        if not self.ready:
            return
        started = time.perf_counter()
        scores = self.runtime.decode([generation.next_row() for generation in self.ready])
        share = (time.perf_counter() - started) / len(self.ready)
        for generation in self.ready:
            generation.spend(share)
        # every row takes its token before any row moves
        over = [row for row in range(len(self.ready)) if self._is_over(row, scores[row])]
        for row in reversed(over):
            self._leave(row)

    def abandon(self, error: AppError) -> None:
        """Fail everything; the cache may hold anything now."""
        failed = [*self.active, *self.waiting]
        self.ready, self.reading = [], None
        self.waiting.clear()
        for generation in failed:
            generation.fail(error)
        for row in range(MAX_ACTIVE):
            self.runtime.cache.clear(row)

    def _is_over(self, row: int, scores: torch.Tensor) -> bool:
        if bool(torch.isfinite(scores).all()):
            is_last = self.ready[row].take(scores)
            if is_last:
                self._keep(row)
            return is_last
        self.ready[row].fail(
            AppError(
                "The model computed values that are not numbers, so there is no answer. The adapter is probably "
                "broken; train it again with a lower learning rate.",
                code="model_not_finite",
            )
        )
        self.runtime.cache.clear(row)
        return True

    def _recall(self, row: int, work: Work) -> None:
        """Begin with what is known of the prompt. At least one token is read, for the scores after it."""
        if work.prefix_owner is None:
            return
        found = self.runtime.prefixes.longest(work.prefix_owner, work.prompt_ids[:-1])
        if found is not None:
            kept, work.num_recalled = found
            work.num_prefilled = work.num_recalled
            self.runtime.cache.put(row, kept, work.num_cached)

    def _keep(self, row: int) -> None:
        work = self.ready[row]
        if work.prefix_owner is not None:
            self.runtime.prefixes.keep(
                work.prefix_owner, work.cached_ids, lambda: self.runtime.cache.copy(row, work.num_cached)
            )

    def _leave(self, row: int) -> None:
        """Close the gap: the last ready row takes the place, and a prompt being read follows."""
        last = len(self.ready) - 1
        if row != last:
            self.ready[row] = self.ready[last]
            self.runtime.cache.move(last, row, self.ready[row].num_cached)
        self.ready.pop()
        if self.reading and self.reading.num_prefilled:
            self.runtime.cache.move(last + 1, last, self.reading.num_cached)


class Scheduler:
    def __init__(
        self,
        *,
        max_active: int = MAX_ACTIVE,
        max_waiting: int = MAX_WAITING,
        max_per_workspace: int = MAX_PER_WORKSPACE,
    ) -> None:
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._max_per_workspace = max_per_workspace
        self._lanes: dict[int, Lane] = {}
        self._changed = threading.Condition()
        self._is_stopping = False
        self.on_idle: Callable[[], None] = lambda: None
        """Called by the scheduler's thread when it let go of a base model that has no work left."""
        self._thread = threading.Thread(target=self._run, name="inference-scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End now; whoever was being served is told."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        for lane in self._lanes.values():
            lane.abandon(restarting())

    def submit(self, generation: Work) -> None:
        """Queue a generation. Raises `RateLimited` when the queue is full, `Unavailable` when stopping."""
        with self._changed:
            if self._is_stopping:
                raise restarting()
            self._refuse_if_full(generation.workspace_id)
            lane = self._lanes.setdefault(id(generation.runtime), Lane(generation.runtime))
            lane.waiting.append(generation)
            self._changed.notify_all()

    def _refuse_if_full(self, workspace_id: str | None) -> None:
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.forget_who_left()
        if workspace_id is not None and sum(lane.num_of(workspace_id) for lane in lanes) >= self._max_per_workspace:
            raise too_many_chats(self._max_per_workspace)
        if self.num_waiting >= self._max_waiting:
            raise queue_full()

    @property
    def num_waiting(self) -> int:
        return sum(len(lane.waiting) for lane in list(self._lanes.values()))

    @property
    def num_active(self) -> int:
        return sum(lane.num_active for lane in list(self._lanes.values()))

    def is_busy(self, runtime: BaseRuntime) -> bool:
        """Whether it has work, or is still held for work that just ended. Takes no lock."""
        return id(runtime) in self._lanes

    def num_active_of(self, runtime: BaseRuntime) -> int:
        lane = self._lanes.get(id(runtime))
        return lane.num_active if lane else 0

    def num_waiting_of(self, runtime: BaseRuntime) -> int:
        lane = self._lanes.get(id(runtime))
        return len(lane.waiting) if lane else 0

    def _run(self) -> None:
        while self._round():
            # before the next round waits: its lanes are no more in any variable, so that a model can be unloaded
            if self._forget_idle_lanes():
                self.on_idle()

    def _round(self) -> bool:
        """A turn of each base model that has work; waits for one. False when it is time to stop."""
        with self._changed:
            while not self._lanes and not self._is_stopping:
                self._changed.wait()
            if self._is_stopping:
                return False
            lanes = list(self._lanes.values())
        for lane in lanes:
            self._turn(lane)
        return True

    def _forget_idle_lanes(self) -> bool:
        """A lane without work holds no reference to its model. True if there was one."""
        with self._changed:
            idle = [key for key, lane in self._lanes.items() if not lane.has_work]
            for key in idle:
                self._lanes.pop(key).runtime.cache.release()
        return bool(idle)

    def _turn(self, lane: Lane) -> None:
        try:
            lane.drop_cancelled()
            self._admit(lane)
            lane.read_prompt()
            lane.decode()
        except Exception:
            logger.exception("a turn failed")
            lane.abandon(
                AppError("The model server failed at this answer. An admin should look at its log.", code="internal")
            )

    def _admit(self, lane: Lane) -> None:
        with self._changed:
            while lane.reading is None and lane.waiting and lane.num_active < self._max_active:
                candidate = lane.next_waiting()
                lane.reading = None if candidate.is_cancelled else candidate
