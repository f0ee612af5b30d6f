"""Which base models are in memory: loaded when asked for, within a budget of bytes.

What a base needs is known before it is read. Where there is no room, the one not asked for longest gives its place,
but never one that is answering and never a pinned one. Those who wait take turns (`base_turns`). Memory is real only
when nobody holds the tensors any more, so whoever works with a base does so inside `use`, and the scheduler tells of
those that it computes.
"""

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Final

import torch

from core.base_models import service as base_models
from core.config import Settings
from core.errors import Unavailable
from core.inference.types import Residence
from worker.inference.base_memory import budget_of, need_of
from worker.inference.base_turns import Turns, Waiter
from worker.inference.failures import bases_busy
from worker.inference.runtime import BaseRuntime, VariantKey, load_runtime

logger = logging.getLogger(__name__)

# how long a question waits for its turn, from its arrival, however many other bases are read meanwhile
PATIENCE_S: Final = 60.0
# of that, once it is its turn, for answers of others to end: nobody else's base is read meanwhile
ROOM_PATIENCE_S: Final = 10.0
# a base that could not be read is refused for so long: each try would take the places of others first
PAUSE_AFTER_FAILURE_S: Final = 60.0
# who waits for a base holds a thread of the server's
MAX_WAITING: Final = 32


@dataclass(slots=True)
class _Resident:
    runtime: BaseRuntime
    num_bytes: int
    num_users: int = 0


@dataclass(slots=True)
class _Counts:
    """Of one base, from the start on."""

    num_loads: int = 0
    num_evictions: int = 0
    num_refused: int = 0
    load_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Known:
    """A base that is, was or is about to be in memory; `runtime` is None while it is not."""

    key: VariantKey
    runtime: BaseRuntime | None
    is_loading: bool
    num_waiting: int
    """Questions that wait for it to be loaded."""
    residence: Residence


class BaseVariants:
    """Safe for threads. One base is read at a time, on the thread of who asked for it; the others answer meanwhile.

    `is_answering` tells whether a base has work queued or under way; it is called with our lock held. `on_evicted` is
    called when a base is gone, to release what was loaded for it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pinned: Collection[VariantKey] = (),
        is_answering: Callable[[BaseRuntime], bool] = lambda _: False,
        on_evicted: Callable[[VariantKey], None] = lambda _: None,
        patience_s: float = PATIENCE_S,
        room_patience_s: float = ROOM_PATIENCE_S,
        pause_after_failure_s: float = PAUSE_AFTER_FAILURE_S,
        max_waiting: int = MAX_WAITING,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._settings = settings
        self.budget_bytes = budget_of(settings)
        self._pinned = frozenset(pinned)
        self._is_answering = is_answering
        self._on_evicted = on_evicted
        self._patience_s = patience_s
        self._room_patience_s = room_patience_s
        self._pause_after_failure_s = pause_after_failure_s
        self._clock = clock
        self._changed = threading.Condition()
        self._resident: OrderedDict[VariantKey, _Resident] = OrderedDict()
        self._loading: VariantKey | None = None
        self._counts: dict[VariantKey, _Counts] = {}
        self._failed_at: dict[VariantKey, float] = {}
        self._turns = Turns(max_waiting=max_waiting)

    @contextmanager
    def use(self, key: VariantKey, workspace_id: str = "", *, patience_s: float | None = None) -> Iterator[BaseRuntime]:
        """The base, loaded, and not evicted before the block ends. May block while it waits for its turn and is loaded.

        Turns go round the workspaces; what is nobody's question is the house's, which has turns as a workspace has.
        Raises `NotFound` for a model we do not know, `Unavailable` for one that is not on disk, larger than the budget
        or could not be read a moment ago, and `RateLimited` where its turn did not come in time, too many wait, or
        there is no room because the others are answering.
        """
        found = self._acquire(key, workspace_id, self._patience_s if patience_s is None else patience_s)
        try:
            yield found.runtime
        finally:
            with self._changed:
                found.num_users -= 1
                # the frame of this generator may outlive the block
                del found
                self._changed.notify_all()

    def loaded(self) -> list[tuple[VariantKey, BaseRuntime]]:
        """The one not asked for longest first."""
        with self._changed:
            return [(key, one.runtime) for key, one in self._resident.items()]

    def known(self) -> list[Known]:
        """Whatever was asked for since the start, in the order in which that began."""
        with self._changed:
            return [self._known(key, counts) for key, counts in self._counts.items()]

    def _known(self, key: VariantKey, counts: _Counts) -> Known:
        found = self._resident.get(key)
        return Known(
            key=key,
            runtime=found.runtime if found else None,
            is_loading=key == self._loading,
            num_waiting=len(self._turns.waiting_for(key)),
            residence=Residence(
                is_pinned=key in self._pinned, num_bytes=found.num_bytes if found else 0, **asdict(counts)
            ),
        )

    @property
    def loading(self) -> VariantKey | None:
        """What is being read right now."""
        return self._loading

    def wake(self) -> None:
        """A base may have become idle: whoever waits for room looks again."""
        with self._changed:
            self._changed.notify_all()

    def _acquire(self, key: VariantKey, workspace_id: str, patience_s: float) -> _Resident:
        deadline_s = self._clock() + patience_s
        if found := self._resident_now(key):
            return found
        waiter = Waiter(key, self._need(key), workspace_id, deadline_s)
        with self._changed:
            self._refuse_if_too_large(waiter)
            self._turns.join(waiter)
            self._counts.setdefault(key, _Counts())
            # who gave up its place for this one hears of it, and then whoever is first once this one is gone
            self._changed.notify_all()
            try:
                found, evicted = self._wait_for_turn(waiter)
            finally:
                self._turns.leave(waiter)
                self._changed.notify_all()
        return found or self._load(waiter, evicted)

    def _resident_now(self, key: VariantKey) -> _Resident | None:
        with self._changed:
            return self._used(key)

    def _used(self, key: VariantKey) -> _Resident | None:
        found = self._resident.get(key)
        if found is not None:
            self._resident.move_to_end(key)
            found.num_users += 1
        return found

    def _wait_for_turn(self, waiter: Waiter) -> tuple[_Resident | None, list[VariantKey]]:
        """The base if another thread loaded it meanwhile; else it is ours to load, and what went for it is told."""
        while True:
            if waiter.is_served:
                return self._resident[waiter.key], []
            if found := self._used(waiter.key):
                return found, []
            if waiter.refusal:
                raise waiter.refusal
            self._refuse_if_too_large(waiter)
            self._refuse_if_just_failed(waiter.key)
            has_turn = self._loading is None and waiter is self._turns.first
            if has_turn and (victims := self._victims(waiter.num_bytes)) is not None:
                self._begin(waiter.key, victims)
                return None, victims
            self._wait(waiter, has_turn=has_turn)

    def _begin(self, key: VariantKey, victims: list[VariantKey]) -> None:
        for victim in victims:
            del self._resident[victim]
            self._counts[victim].num_evictions += 1
        self._loading = key

    def _wait(self, waiter: Waiter, *, has_turn: bool) -> None:
        """For anything to change. Raises `RateLimited` for a question that has waited long enough."""
        if waiter.key == self._loading:
            self._changed.wait()
            return
        now_s = self._clock()
        if has_turn and not waiter.has_turn:
            waiter.has_turn = True
            waiter.deadline_s = min(waiter.deadline_s, now_s + self._room_patience_s)
        if now_s >= waiter.deadline_s:
            self._refuse_all(self._turns.waiting_for(waiter.key) if has_turn else [waiter], no_room=has_turn)
        else:
            self._changed.wait(waiter.deadline_s - now_s)

    def _refuse_all(self, waiters: list[Waiter], *, no_room: bool) -> None:
        for one in waiters:
            self._counts[one.key].num_refused += 1
            one.refusal = bases_busy(base_models.get(one.key.base_model).name, no_room=no_room)

    def _victims(self, need: int) -> list[VariantKey] | None:
        """Who goes, so that there is room; None if not enough may go, and then nobody does."""
        excess = need + sum(one.num_bytes for one in self._resident.values()) - self.budget_bytes
        chosen = []
        for key, one in self._resident.items():
            if excess <= 0:
                break
            if key not in self._pinned and one.num_users == 0 and not self._is_answering(one.runtime):
                chosen.append(key)
                excess -= one.num_bytes
        return chosen if excess <= 0 else None

    def _load(self, waiter: Waiter, evicted: list[VariantKey]) -> _Resident:
        key = waiter.key
        made: _Resident | None = None
        try:
            self._release(evicted)
            logger.info("loading %s (%s)", key, _gigabytes(waiter.num_bytes))
            began_s = monotonic()
            runtime = load_runtime(
                base_models.folder(self._settings, key.base_model),
                key.quantization,
                max_prefix_bytes=self._settings.max_prefix_bytes,
            )
            load_s = monotonic() - began_s
            made = _Resident(runtime, waiter.num_bytes, num_users=1)
        finally:
            with self._changed:
                self._loading = None
                if made is None:
                    self._failed_at[key] = self._clock()
                else:
                    self._failed_at.pop(key, None)
                    self._resident[key] = made
                    self._counts[key].num_loads += 1
                    self._counts[key].load_s += load_s
                    self._serve_all(key, made)
                self._changed.notify_all()
        return made

    def _serve_all(self, key: VariantKey, made: _Resident) -> None:
        """Whoever waited for it uses it from now on, so that it is not evicted before they are answered."""
        for one in self._turns.waiting_for(key):
            one.is_served = True
            made.num_users += 1
            self._turns.leave(one)

    def _release(self, evicted: list[VariantKey]) -> None:
        for key in evicted:
            logger.info("evicting %s", key)
            self._on_evicted(key)
        if evicted:
            # a model refers to itself in places, and the allocator keeps what it was given back
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _need(self, key: VariantKey) -> int:
        model = base_models.get(key.base_model)
        if not base_models.is_ready(self._settings, model.id):
            raise Unavailable(
                f"The base model {model.name} is not on the model server's disk. An admin can run: "
                f"python -m worker.base_models {model.id}",
                code="base_model_not_ready",
                param="model",
            )
        folder = base_models.folder(self._settings, model.id)
        return need_of(folder, max_prefix_bytes=self._settings.max_prefix_bytes)

    def _refuse_if_too_large(self, waiter: Waiter) -> None:
        """What waiting would not help: no place is ever so large."""
        pinned = sum(one.num_bytes for of, one in self._resident.items() if of in self._pinned)
        if waiter.num_bytes <= self.budget_bytes - pinned:
            return
        beside = f", of which pinned ones take {_gigabytes(pinned)}" if pinned else ""
        raise Unavailable(
            f"The base model {base_models.get(waiter.key.base_model).name} needs {_gigabytes(waiter.num_bytes)} of "
            f"memory, and the model server may use {_gigabytes(self.budget_bytes)} for base models{beside}. "
            "An admin can allow it more (TAILORBIRD_MAX_BASE_MODEL_BYTES), pin fewer, or choose a larger machine.",
            code="base_model_too_large",
            param="model",
        )

    def _refuse_if_just_failed(self, key: VariantKey) -> None:
        failed_at = self._failed_at.get(key)
        if failed_at is None or self._clock() - failed_at >= self._pause_after_failure_s:
            return
        raise Unavailable(
            f"The base model {base_models.get(key.base_model).name} could not be loaded a moment ago, and is tried "
            "again in a minute. An admin should look at the model server's log.",
            code="base_model_failed",
            param="model",
        )


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB"
