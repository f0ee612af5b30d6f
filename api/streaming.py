"""Server-sent events: the format, and a response that always closes its source."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

import anyio
import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Send

T = TypeVar("T")

HEADERS = {
    "cache-control": "no-store, no-transform",
    # nginx would hold the stream back until its buffer is full
    "x-accel-buffering": "no",
}

COMMENT_HEARTBEAT = ": still here\n\n"


def event(data: object, *, name: str | None = None, event_id: str | int | None = None) -> str:
    """One event; `data` is JSON, which holds no line break, so that one `data:` line carries it."""
    lines = []
    if event_id is not None:
        lines.append(f"id: {event_id}")
    if name is not None:
        lines.append(f"event: {name}")
    payload = data if isinstance(data, str) else orjson.dumps(data).decode()
    lines.append(f"data: {payload}")
    return "\n".join(lines) + "\n\n"


class EventStream(StreamingResponse):
    """A `text/event-stream` of a generator that is closed however the response ends, a lost client included."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[str, None], status_code: int = 200) -> None:
        super().__init__(source, status_code=status_code, headers=HEADERS)
        self._source = source

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self._source):
            await super().stream_response(send)


async def run_to_the_end(function: Callable[[], T]) -> T:
    """`function()` in a thread, finished even when the client is gone and this task is being cancelled."""
    result: list[T] = []
    with anyio.CancelScope(shield=True):
        result.append(await anyio.to_thread.run_sync(function))
    return result[0]
