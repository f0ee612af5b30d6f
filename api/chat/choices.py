"""Several answers to one conversation, given at once: the runtime computes them together."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import anyio

from core.inference.types import ChatDelta

Pieces = AsyncGenerator[ChatDelta, None]

# pieces that may wait for a slow client; then the runtime's connection waits too
_MAX_AHEAD = 64


async def side_by_side(
    sources: Sequence[Pieces], *, heartbeat_s: float
) -> AsyncGenerator[tuple[int, ChatDelta] | None, None]:
    """Pieces of all sources with their number, as they come; None after each `heartbeat_s` without one.

    Raises what the first of them raises. Closing it closes all of them, and so ends their generations.
    """
    queue: asyncio.Queue[tuple[int, ChatDelta | Exception | None]] = asyncio.Queue(maxsize=_MAX_AHEAD)
    tasks = [asyncio.create_task(_pump(index, source, queue)) for index, source in enumerate(sources)]
    num_open = len(tasks)
    try:
        while num_open:
            try:
                index, found = await asyncio.wait_for(queue.get(), heartbeat_s)
            except TimeoutError:
                yield None
                continue
            if isinstance(found, Exception):
                raise found
            if found is None:
                num_open -= 1
            else:
                yield index, found
    finally:
        for task in tasks:
            task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(index: int, source: Pieces, queue: "asyncio.Queue[tuple[int, ChatDelta | Exception | None]]") -> None:
    try:
        async with aclosing(source):
            async for piece in source:
                await queue.put((index, piece))
    except Exception as error:  # noqa: BLE001 - raised again by who reads the queue
        await queue.put((index, error))
    else:
        await queue.put((index, None))
