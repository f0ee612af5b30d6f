r"""Many who ask at once: a process of its own that asks as fast as it is answered, over connections that stay open.

Bare sockets, because a real client library takes longer to ask than the server to answer. The process reads one JSON
object from standard input and writes one to standard output:

    {"ports": [...], "heads": ["GET /… HTTP/1.1\\r\\n…\\r\\n\\r\\n", ...], "num_connections": 32, "seconds": 10}
    {"latency_ms": [...], "statuses": {"200": 1234}, "seconds": 10.0}

`count` instead of `seconds` ends after so many answers.
"""

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "


@dataclass(frozen=True, slots=True)
class Answers:
    latency_ms: list[float]
    statuses: dict[str, int]
    seconds: float

    @property
    def per_s(self) -> float:
        return len(self.latency_ms) / self.seconds

    def percentile(self, per_cent: int) -> float:
        return statistics.quantiles(self.latency_ms, n=100, method="inclusive")[per_cent - 1]


def ask(
    heads: Sequence[str],
    *,
    ports: Sequence[int],
    num_connections: int,
    seconds: float | None = None,
    count: int | None = None,
) -> Answers:
    """For so many seconds, or so many answers. A head is drawn at random for each question."""
    wanted = {"ports": list(ports), "heads": list(heads), "num_connections": num_connections}
    wanted |= {"seconds": seconds} if count is None else {"count": count}
    argv = [sys.executable, __file__]
    done = subprocess.run(argv, input=json.dumps(wanted), capture_output=True, text=True, check=True)
    return Answers(**json.loads(done.stdout))


def head(path: str, key: str) -> str:
    """A GET, as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n"


class _Load:
    """What all connections share."""

    def __init__(self, heads: list[bytes], *, count: int | None) -> None:
        self.heads = heads
        self.num_left = count
        self.latency_ms: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.is_over = False

    def next_head(self) -> bytes | None:
        if self.is_over or self.num_left == 0:
            return None
        if self.num_left is not None:
            self.num_left -= 1
        return random.choice(self.heads)


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = bytearray()
        self._asked_at = 0.0
        self._transport: Any = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(_END_OF_HEAD)
        if end < 0:
            return
        start = self._buffer.find(_LENGTH, 0, end + 2)
        num_bytes = int(self._buffer[start + len(_LENGTH) : self._buffer.find(b"\r", start + 2)])
        if len(self._buffer) < end + len(_END_OF_HEAD) + num_bytes:
            return
        self._load.latency_ms.append((time.perf_counter() - self._asked_at) * 1000)
        self._load.statuses[self._buffer[9:12].decode()] += 1
        self._buffer.clear()
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or self._buffer:
            self._load.statuses["lost"] += 1
        if not self.closed.done():
            self.closed.set_result(None)

    def _ask(self) -> None:
        head = self._load.next_head()
        if head is None:
            self._transport.close()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(head)


async def _main() -> None:
    wanted = json.load(sys.stdin)
    load = _Load([head.encode() for head in wanted["heads"]], count=wanted.get("count"))
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    connections = []
    for number in range(wanted["num_connections"]):
        port = wanted["ports"][number % len(wanted["ports"])]
        _, connection = await loop.create_connection(lambda: _Connection(load), "127.0.0.1", port)
        connections.append(connection)
    if (seconds := wanted.get("seconds")) is not None:
        await asyncio.sleep(seconds)
        load.is_over = True
    await asyncio.gather(*(connection.closed for connection in connections))
    found = {
        "latency_ms": load.latency_ms,
        "statuses": load.statuses,
        "seconds": time.perf_counter() - began,
    }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    asyncio.run(_main())
