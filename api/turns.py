"""Turns at the database: as many requests work with it at once as it has connections for, the others wait in a queue.

Without them a crowd stands still. A request that has a connection needs a thread for its next step, and the threads are
all taken by requests that wait for a connection.
"""

from contextlib import suppress

import anyio

from core.errors import Unavailable

# a client that waits longer has given up, or asked again
_PATIENCE_S = 10.0
# some connections are for what takes none for longer than a moment: who is asking, streams, checks of health
_SHARE = 0.75


class DatabaseTurns:
    def __init__(self, num_connections: int) -> None:
        self._turns = anyio.Semaphore(max(1, int(num_connections * _SHARE)))

    async def take(self) -> None:
        """A turn, first come, first served, to be given back. Raises `Unavailable` (`too_busy`)."""
        with suppress(anyio.WouldBlock):
            self._turns.acquire_nowait()
            return
        with anyio.move_on_after(_PATIENCE_S) as waiting:
            await self._turns.acquire()
        if waiting.cancelled_caught:
            raise Unavailable("More is asked at once than can be answered. Try again in a moment.", code="too_busy")

    def give_back(self) -> None:
        self._turns.release()
