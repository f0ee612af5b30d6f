from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from api.turns import DatabaseTurns
from core.errors import Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def turn(turns: DatabaseTurns) -> AsyncIterator[None]:
    await turns.take()
    try:
        yield
    finally:
        turns.give_back()


async def test_no_more_have_a_turn_than_there_are_connections_for_and_all_get_one() -> None:
    turns, at_once, most, num_done = DatabaseTurns(4), 0, 0, 0

    async def ask() -> None:
        nonlocal at_once, most, num_done
        async with turn(turns):
            at_once += 1
            most = max(most, at_once)
            await anyio.lowlevel.checkpoint()
            at_once -= 1
        num_done += 1

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(ask)
    assert (most, num_done) == (3, 50)


async def test_one_that_fails_gives_its_turn_back() -> None:
    turns = DatabaseTurns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with turn(turns):
                _ = 1 / 0


async def test_who_waits_for_too_long_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.turns._PATIENCE_S", 0.01)
    turns = DatabaseTurns(1)
    async with turn(turns):
        with pytest.raises(Unavailable, match="Try again"):
            async with turn(turns):
                raise AssertionError
    async with turn(turns):
        pass
