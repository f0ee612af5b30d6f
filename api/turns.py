"""Turns at the database: as many requests work with it at once as it has connections for, the others wait in a queue.

Without them a crowd stands still. A request that has a connection needs a thread for its next step, and the threads are
all taken by requests that wait for a connection.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from core.errors import Unavailable

# a client that waits longer has given up, or asked again
_PATIENCE_S = 10.0
# some connections are for what takes none for longer than a moment: who is asking, streams, checks of health
_SHARE = 0.75


class DatabaseTurns:
    def __init__(self, num_connections: int) -> None:
        self._turns = anyio.Semaphore(max(1, int(num_connections * _SHARE)))

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None, None]:
        """A turn for the time of the block, first come, first served. Raises `Unavailable` (`too_busy`)."""
        with anyio.move_on_after(_PATIENCE_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Unavailable("More is asked at once than can be answered. Try again in a moment.", code="too_busy")
        try:
            yield
        finally:
            self._turns.release()
