import pytest

from core.errors import RateLimited
from worker.inference.vllm.gate import Gate, Place


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Guests:
    def __init__(self, **limits: int) -> None:
        self.clock = Clock()
        self.gate = Gate(**{"max_active": 2, "max_waiting": 2, "max_per_workspace": 9, **limits}, clock=self.clock)
        self.admitted: list[str] = []

    def enter(self, name: str, workspace_id: str = "") -> Place:
        place = Place(workspace_id or name, lambda: self.admitted.append(name))
        self.gate.enter(place)
        return place


def test_so_many_are_answered_and_the_next_comes_in_when_one_leaves() -> None:
    guests = Guests()
    first, _ = guests.enter("a"), guests.enter("b")
    guests.enter("c")
    assert (guests.admitted, guests.gate.num_active, guests.gate.num_waiting) == (["a", "b"], 2, 1)
    guests.gate.leave(first)
    assert guests.admitted == ["a", "b", "c"]
    guests.gate.leave(first)
    assert (guests.gate.num_active, guests.gate.num_waiting) == (2, 0)


def test_too_many_are_told_to_come_back() -> None:
    guests = Guests(max_per_workspace=2)
    guests.enter("a", "ws_1")
    guests.enter("b", "ws_1")
    with pytest.raises(RateLimited) as refused:
        guests.enter("c", "ws_1")
    assert refused.value.error_code == "too_many_chats"
    guests.enter("d", "ws_2")
    guests.enter("e", "ws_3")
    with pytest.raises(RateLimited) as refused:
        guests.enter("f", "ws_4")
    assert refused.value.error_code == "inference_queue_full"


def test_the_next_is_of_the_workspace_that_is_answered_least() -> None:
    guests = Guests(max_waiting=9)
    first, second = guests.enter("a1", "a"), guests.enter("a2", "a")
    guests.enter("a3", "a")
    guests.enter("b1", "b")
    guests.gate.leave(first)
    assert guests.admitted[-1] == "b1"
    guests.gate.leave(second)
    assert guests.admitted[-1] == "a3"


def test_who_leaves_while_waiting_is_never_admitted() -> None:
    guests = Guests(max_active=1)
    first, second = guests.enter("a"), guests.enter("b")
    guests.enter("c")
    guests.gate.leave(second)
    guests.gate.leave(first)
    assert guests.admitted == ["a", "c"]


def test_shares_of_the_time_add_up_to_the_time_that_was_worked() -> None:
    guests = Guests()
    first = guests.enter("a")
    guests.clock.now += 2
    second = guests.enter("b")
    third = guests.enter("c")  # waits, and waiting is nobody's time
    guests.clock.now += 4
    assert (guests.gate.spent(first), guests.gate.spent(second), guests.gate.spent(third)) == (4, 2, 0)
    guests.gate.leave(second)
    guests.clock.now += 6
    guests.gate.leave(first)
    guests.clock.now += 1
    assert guests.gate.spent(first) == pytest.approx(2 + 2 + 3)
    assert guests.gate.spent(third) == pytest.approx(3 + 1)
    guests.gate.leave(third)
    guests.clock.now += 50  # nobody is there
    fourth = guests.enter("d")
    guests.clock.now += 1
    assert guests.gate.spent(fourth) == pytest.approx(1)
