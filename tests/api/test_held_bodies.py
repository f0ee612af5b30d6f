"""Bodies that are held in memory come before anybody knows whose they are: one address must not take all the room."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from api.middleware import _MAX_HELD_BYTES, _MAX_HELD_BYTES_PER_SITE, MAX_JSON_BYTES, BodyLimit
from core.config import Settings
from core.errors import Unavailable

NUM_OF_ONE = _MAX_HELD_BYTES_PER_SITE // MAX_JSON_BYTES


class Room:
    """An application that holds every body until it is told to end."""

    def __init__(self) -> None:
        self.limit = BodyLimit(self._hold, settings=Settings())
        self._end = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def send(self, address: str) -> bool:
        """Whether a whole body of this address is held."""
        task = asyncio.create_task(self._one(address))
        self.tasks.append(task)
        # what has come is read without waiting; then it waits for the end, or was refused
        for _ in range(5):
            await asyncio.sleep(0)
        if task.done():
            with pytest.raises(Unavailable):
                task.result()
            return False
        return True

    async def empty(self) -> None:
        self._end.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self._end.clear()
        self.tasks.clear()

    async def _one(self, address: str) -> None:
        scope = {
            "type": "http",
            "path": "/v1/auth/sign_in",
            "query_string": b"",
            "headers": [],
            "state": {"client_address": address},
        }

        async def receive() -> Message:
            return {"type": "http.request", "body": bytes(MAX_JSON_BYTES), "more_body": False}

        async def send(_message: Message) -> None:
            pass

        await self.limit(scope, receive, send)

    async def _hold(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        body = (await receive())["body"]
        await self._end.wait()
        del body


async def fill() -> None:
    room = Room()
    held = [await room.send("203.0.113.1") for _ in range(NUM_OF_ONE + 3)]
    assert held == [True] * NUM_OF_ONE + [False] * 3
    # of IPv6 a whole network is one client
    held = [await room.send(f"2001:db8::{number:x}") for number in range(NUM_OF_ONE + 3)]
    assert held == [True] * NUM_OF_ONE + [False] * 3
    assert await room.send("203.0.113.2"), "another finds room"
    await room.empty()
    assert await room.send("203.0.113.1"), "what was let go is free again"
    await room.empty()
    num_of_all = _MAX_HELD_BYTES // MAX_JSON_BYTES
    held = [await room.send(f"203.0.113.{number}") for number in range(num_of_all + 1)]
    assert held == [True] * num_of_all + [False]
    await room.empty()


def test_one_address_does_not_take_all_the_room() -> None:
    asyncio.run(fill())
