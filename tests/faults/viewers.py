"""Fifty viewers of one run that never stops talking, and what that costs in memory."""

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import psutil

from core.backends.events import RedisEventBus
from core.db.session import workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.types import EventType, Lease, NewEvent
from tests.faults.arena import Arena, Submitted

NUM_VIEWERS = 50
_EVENTS_PER_S = 10
_WARM_UP_S = 30.0
_MIB = 2**20


@dataclass(slots=True)
class Watched:
    """Memory of the API's processes while all watch, and what the viewers were sent."""

    rss_bytes: list[int] = field(default_factory=list)
    num_said: int = 0
    num_seen: list[int] = field(default_factory=list)
    """Events that each viewer was sent."""
    num_closed: int = 0

    @property
    def growth_pct(self) -> float:
        """From the first fifth of the samples to the last, by their medians."""
        fifth = max(1, len(self.rss_bytes) // 5)
        first, last = statistics.median(self.rss_bytes[:fifth]), statistics.median(self.rss_bytes[-fifth:])
        return (last / first - 1) * 100

    def details(self) -> dict[str, Any]:
        return {
            "num_viewers": len(self.num_seen),
            "num_said": self.num_said,
            "num_seen": [min(self.num_seen), max(self.num_seen)],
            "num_closed": self.num_closed,
            "seconds": len(self.rss_bytes),
            "rss_mib": [round(self.rss_bytes[0] / _MIB, 1), round(self.rss_bytes[-1] / _MIB, 1)],
        }


class Viewers:
    """Streams that are open for the time of the block, read in a thread of their own."""

    def __init__(self, ports: Sequence[int], path: str, key: str, num: int = NUM_VIEWERS) -> None:
        self._ports, self._num = ports, num
        self._head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\r\n".encode()
        self.num_seen = [0] * num
        self.num_closed = 0
        self.statuses: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: list[asyncio.Task[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._tasks = [asyncio.create_task(self._watch(number)) for number in range(self._num)]

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, number: int) -> None:
        """One who comes back, as a browser does."""
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._ports[number % len(self._ports)])
            try:
                writer.write(self._head)
                self.statuses.append((await reader.readline()).split()[1])
                async for line in reader:
                    self.num_seen[number] += line.startswith(b"event:")
            finally:
                writer.close()
            self.num_closed += 1


def watch(
    arena: Arena, ports: Sequence[int], *, seconds: float, meanwhile: Callable[[], object] | None = None
) -> Watched:
    """The run speaks for so many seconds after a warm-up. `meanwhile` is called in it, and once more in the middle."""
    run = arena.submit(workspace="watched", ring=False)
    lease = _take(arena, run)
    bus = RedisEventBus(arena.settings(urls=arena.servers.direct))
    found = Watched()
    path = f"/v1/fine_tuning/jobs/{run.run_id}/stream"
    with Viewers(ports, path, arena.api_key("watched")) as viewers, ThreadPoolExecutor(1) as beside:
        began = sampled_at = time.monotonic()
        called = [beside.submit(meanwhile)] if meanwhile else []
        while (now := time.monotonic()) < began + _WARM_UP_S + seconds:
            found.num_said += 1
            said = NewEvent(
                f"Step {found.num_said}", EventType.METRICS, data={"step": found.num_said, "train_loss": 1.0}
            )
            with arena.database.session(workspace_scope(run.workspace_id)) as session:
                jobs.record_events(session, lease, [said], bus=bus)
            if now > began + _WARM_UP_S and now > sampled_at + 1:
                sampled_at = now
                found.rss_bytes.append(rss_bytes(arena))
            if meanwhile and len(called) == 1 and now > began + _WARM_UP_S + seconds / 2:
                called.append(beside.submit(meanwhile))
            time.sleep(max(0.0, began + found.num_said / _EVENTS_PER_S - time.monotonic()))
        for one in called:
            one.result()
        found.num_seen, found.num_closed = list(viewers.num_seen), viewers.num_closed
    arena.cancel(run, "watched")
    return found


def rss_bytes(arena: Arena) -> int:
    return sum(psutil.Process(pid).memory_info().rss for pid in arena.api_pids)


def _take(arena: Arena, run: Submitted) -> Lease:
    """The run is worked on, by us."""
    arena.execute(
        "update jobs set state = 'running', attempt = 1, lease_owner = 'bench', heartbeat_at = now(), "
        "lease_expires_at = now() + interval '1 day', started_at = now() where id = :id",
        id=run.job_id,
    )
    job = arena.job(run)
    return Lease(
        job_id=job.id,
        workspace_id=job.workspace_id,
        kind=JobKind.TRAINING_RUN,
        attempt=1,
        payload=job.payload,
        worker_id="bench",
    )
