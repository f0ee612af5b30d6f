import threading
import time
from typing import Any

import pytest

from core.errors import Unavailable
from worker.supervise import JobCancelled, JobInterrupted, JobPaused, LeaseLost
from worker.tasks.patience import patiently


class Keeper:
    is_lost = cancel_requested = pause_requested = False


class Context:
    """As much of a work context as patience looks at."""

    def __init__(self) -> None:
        self.keeper = Keeper()
        self.stopping = threading.Event()

    @property
    def is_handing_back(self) -> bool:
        return self.stopping.is_set()


def away(code: str = "storage_unavailable") -> Unavailable:
    return Unavailable("The object store does not answer.", code=code)


def do(context: Any, action: Any, for_s: float = 30) -> Any:  # noqa: ANN401
    return patiently(context, action, what="a test", for_s=for_s)


def test_what_is_away_is_waited_for() -> None:
    answers = iter([away(), away(), None])

    def action() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "done"

    assert do(Context(), action) == "done"


def test_it_gives_up_in_the_end_with_the_last_error() -> None:
    def action() -> None:
        raise away()

    with pytest.raises(Unavailable):
        do(Context(), action, for_s=0.3)


def test_a_store_that_spoils_what_it_is_given_is_asked_three_times() -> None:
    tries: list[int] = []

    def action() -> None:
        tries.append(1)
        raise away("adapter_damaged")

    with pytest.raises(Unavailable):
        do(Context(), action)
    assert len(tries) == 3


def test_other_errors_are_raised_at_once() -> None:
    def action() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        do(Context(), action)


@pytest.mark.parametrize(
    ("reason", "raised"),
    [
        ("cancel_requested", JobCancelled),
        ("pause_requested", JobPaused),
        ("is_lost", LeaseLost),
        ("stopping", JobInterrupted),
    ],
)
@pytest.mark.parametrize("hangs", [True, False], ids=["in a call that hangs", "between two calls"])
def test_whoever_waits_still_listens(reason: str, raised: type[Exception], hangs: bool) -> None:  # noqa: FBT001
    context, released = Context(), threading.Event()

    def action() -> None:
        released.wait(30 if hangs else 0)
        raise away()

    def ask() -> None:
        if reason == "stopping":
            context.stopping.set()
        else:
            setattr(context.keeper, reason, True)

    threading.Timer(0.3, ask).start()
    started = time.monotonic()
    with pytest.raises(raised):
        do(context, action)
    assert time.monotonic() - started < 5
    released.set()


def test_without_a_keeper_it_waits_too() -> None:
    bare = Context()
    bare.keeper = None  # type: ignore[assignment]
    assert do(bare, lambda: 3) == 3
