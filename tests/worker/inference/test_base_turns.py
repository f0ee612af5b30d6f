"""Nobody is kept out by what others ask for: whatever is asked, given up and loaded, in whatever order."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from core.errors import RateLimited
from worker.inference.base_turns import Turns, Waiter
from worker.inference.runtime import VariantKey

WORKSPACES = ("ws_a", "ws_b", "ws_c", "ws_d")
BASES = tuple(VariantKey(f"base-{number}") for number in range(5))

arrivals = st.tuples(st.sampled_from(WORKSPACES), st.sampled_from(BASES))
leaving = st.integers(0, 30)
turn = st.just("turn")
steps = st.lists(st.one_of(arrivals, arrivals, turn, leaving), min_size=10, max_size=60)


@dataclass(eq=False)
class Promise:
    """What one question may see of others before its turn comes."""

    waiter: Waiter
    num_ahead: int
    turns_of_others: Counter[str] = field(default_factory=Counter)


@given(steps)
def test_each_other_workspace_has_one_turn_for_each_question_ahead_and_one_more(
    steps: list[tuple[str, VariantKey] | int | str],
) -> None:
    turns = Turns(max_waiting=1000)
    waiting: list[Promise] = []
    for step in steps:
        if isinstance(step, tuple):
            workspace_id, key = step
            waiter = Waiter(key, 1, workspace_id, deadline_s=0)
            waiting.append(Promise(waiter, sum(one.waiter.workspace_id == workspace_id for one in waiting)))
            turns.join(waiter)
        elif isinstance(step, int) and waiting:
            gone = waiting.pop(step % len(waiting))
            turns.leave(gone.waiter)
        elif step == "turn" and (first := turns.first):
            take_turn(turns, first, waiting)
        assert len(turns) == len(waiting)
        assert bool(waiting) == (turns.first is not None)


def take_turn(turns: Turns, first: Waiter, waiting: list[Promise]) -> None:
    of_workspace = [one.waiter for one in waiting if one.waiter.workspace_id == first.workspace_id]
    assert first is of_workspace[0], "within a workspace, who came first"
    turns.leave(first)
    # the base answers whoever waits for it, whichever workspace's turn it was
    served = [first, *turns.waiting_for(first.key)]
    assert {one.waiter for one in waiting if one.waiter.key == first.key} == set(served)
    for waiter in served:
        turns.leave(waiter)
    waiting[:] = [one for one in waiting if one.waiter not in served]
    for one in waiting:
        if one.waiter.workspace_id != first.workspace_id:
            one.turns_of_others[first.workspace_id] += 1
            assert one.turns_of_others[first.workspace_id] <= one.num_ahead + 1


@given(st.lists(arrivals, max_size=60))
def test_a_full_room_has_places_for_each_workspace_alike(asked: list[tuple[str, VariantKey]]) -> None:
    max_waiting = 8
    turns = Turns(max_waiting=max_waiting)
    waiting: list[Waiter] = []
    for workspace_id, key in asked:
        waiter = Waiter(key, 1, workspace_id, deadline_s=0)
        before = Counter(one.workspace_id for one in waiting)
        try:
            turns.join(waiter)
        except RateLimited:
            assert len(waiting) == max_waiting
            assert before[workspace_id] >= max(before.values()) - 1
            continue
        dropped = [one for one in waiting if one.refusal]
        assert len(dropped) == max(0, len(waiting) + 1 - max_waiting)
        waiting = [one for one in waiting if not one.refusal] + [waiter]
        for one in dropped:
            newest = [left for left in waiting if left.workspace_id == one.workspace_id]
            assert before[one.workspace_id] == max(before.values()) > len(newest)
    assert len(turns) == len(waiting)


def test_who_leaves_twice_leaves_once() -> None:
    turns = Turns(max_waiting=2)
    one, other = (Waiter(key, 1, "ws_a", deadline_s=0) for key in BASES[:2])
    turns.join(one)
    turns.join(other)
    turns.leave(one)
    turns.leave(one)
    assert (len(turns), turns.first) == (1, other)
    turns.leave(other)
    assert (len(turns), turns.first) == (0, None)
