import asyncio
import threading
from contextvars import ContextVar

import anyio
import pytest

from api.threads import in_thread

pytestmark = pytest.mark.anyio
_word: ContextVar[str] = ContextVar("word")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_work_is_done_elsewhere_in_the_context_of_who_asks() -> None:
    _word.set("mine")
    where, word = await in_thread(lambda: (threading.get_ident(), _word.get()))
    assert where != threading.get_ident()
    assert word == "mine"


async def test_what_it_raises_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


async def test_more_than_there_are_threads_for_wait_their_turn() -> None:
    answers = await asyncio.gather(*(in_thread(lambda number=number: number) for number in range(200)))  # type: ignore[misc]
    assert answers == list(range(200))


async def test_a_cancel_waits_until_the_work_is_over() -> None:
    may_end, is_begun, is_over = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        is_begun.set()
        may_end.wait(10)
        is_over.set()

    asking = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(is_begun.wait, 10)
    asking.cancel()
    await anyio.sleep(0.02)
    assert not asking.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert is_over.is_set()
