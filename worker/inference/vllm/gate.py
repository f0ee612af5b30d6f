"""Places in front of an engine: so many are answered, so many wait, and so many of both are one workspace's."""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from worker.inference.failures import queue_full, too_many_chats


class Place:
    """One answer's. `admitted` is called once, by any thread, when its turn has come."""

    def __init__(self, workspace_id: str | None, admitted: Callable[[], None]) -> None:
        self.workspace_id = workspace_id
        self.admitted = admitted
        self.began_at: float | None = None
        self.ended_at: float | None = None


class Gate:
    """Safe for threads.

    An engine works on all that are admitted at once. Each one's share of a second is one over how many they are, so
    that the shares of all add up to the time in which the engine worked (`_now` counts shares of one, not seconds).
    """

    def __init__(
        self,
        *,
        max_active: int,
        max_waiting: int,
        max_per_workspace: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_active = max_active
        self._max_waiting = max_waiting
        self._max_per_workspace = max_per_workspace
        self._clock = clock
        self._lock = threading.Lock()
        self._active: set[Place] = set()
        self._waiting: deque[Place] = deque()
        self._now = 0.0
        self._seen_at = clock()

    @property
    def num_active(self) -> int:
        return len(self._active)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def enter(self, place: Place) -> None:
        """Take a place, or wait for one. Raises `RateLimited` where too many do."""
        with self._lock:
            everyone = [*self._active, *self._waiting]
            if place.workspace_id is not None:
                num_of_workspace = sum(one.workspace_id == place.workspace_id for one in everyone)
                if num_of_workspace >= self._max_per_workspace:
                    raise too_many_chats(self._max_per_workspace)
            if len(self._active) >= self._max_active and len(self._waiting) >= self._max_waiting:
                raise queue_full()
            self._waiting.append(place)
            admitted = self._admit()
        for one in admitted:
            one.admitted()

    def spent(self, place: Place) -> float:
        """A place's share of the engine's time so far, in seconds."""
        with self._lock:
            self._advance()
            if place.began_at is None:
                return 0.0
            return (self._now if place.ended_at is None else place.ended_at) - place.began_at

    def leave(self, place: Place) -> None:
        """Give the place up, waited for or taken; a second time does nothing."""
        with self._lock:
            self._advance()
            if place in self._active:
                self._active.remove(place)
                place.ended_at = self._now
            if place in self._waiting:
                self._waiting.remove(place)
            admitted = self._admit()
        for one in admitted:
            one.admitted()

    def _admit(self) -> list[Place]:
        """Whose turn has come: of the workspace that is being answered least; among equals, who came first."""
        admitted = []
        while self._waiting and len(self._active) < self._max_active:
            self._advance()
            num_active = Counter(one.workspace_id for one in self._active)
            found = min(self._waiting, key=lambda one: num_active[one.workspace_id])
            self._waiting.remove(found)
            found.began_at = self._now
            self._active.add(found)
            admitted.append(found)
        return admitted

    def _advance(self) -> None:
        """To be called before the number of those that are worked on changes."""
        now = self._clock()
        if self._active:
            self._now += (now - self._seen_at) / len(self._active)
        self._seen_at = now
