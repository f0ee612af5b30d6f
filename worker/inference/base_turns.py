"""Whose base model is loaded next: turns go round the workspaces that wait, and within one to who came first.

So no workspace keeps the others out, whatever it asks for: before a question's turn comes, each other workspace has
had at most one turn for each question that its own workspace had waiting, and one more. Who calls holds a lock.
"""

from collections import OrderedDict
from dataclasses import dataclass

from core.errors import AppError
from worker.inference.failures import queue_full
from worker.inference.runtime import VariantKey


@dataclass(eq=False, slots=True)
class Waiter:
    """A question that waits for its base model to be loaded."""

    key: VariantKey
    num_bytes: int
    """What the base needs."""
    workspace_id: str
    deadline_s: float
    """When it has waited long enough, by the clock of whoever made it."""
    has_turn: bool = False
    """It is its turn, and it waits for room."""
    is_served: bool = False
    refusal: AppError | None = None


class Turns:
    """At most `max_waiting` wait. Where they are more, the workspace with the most of them gives up its newest."""

    def __init__(self, *, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: OrderedDict[str, list[Waiter]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @property
    def first(self) -> Waiter | None:
        return next(iter(self._waiting.values()))[0] if self._waiting else None

    def waiting_for(self, key: VariantKey) -> list[Waiter]:
        return [one for waiting in self._waiting.values() for one in waiting if one.key == key]

    def join(self, waiter: Waiter) -> None:
        """Raises `RateLimited` where there is no place; who must leave for it finds that in its `refusal`."""
        if len(self) >= self._max_waiting:
            self._make_place(waiter.workspace_id)
        self._waiting.setdefault(waiter.workspace_id, []).append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """Its turn has come, or it waits no longer. Who was first has had its workspace's turn."""
        of_workspace = self._waiting.get(waiter.workspace_id, [])
        if waiter not in of_workspace:
            return
        if waiter is self.first:
            self._waiting.move_to_end(waiter.workspace_id)
        of_workspace.remove(waiter)
        if not of_workspace:
            del self._waiting[waiter.workspace_id]

    def _make_place(self, workspace_id: str) -> None:
        most = max(self._waiting.values(), key=len)
        if len(most) <= len(self._waiting.get(workspace_id, [])) + 1:
            raise queue_full()
        most[-1].refusal = queue_full()
        self.leave(most[-1])
