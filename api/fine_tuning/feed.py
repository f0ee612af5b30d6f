"""One reader for all who watch a run in this process, so that fifty of them ask the database what one does.

A feed keeps the newest events in a ring, as the lines that are sent. Nothing is queued for anybody: each viewer takes
what comes after the last event it sent, at its own pace. One that is so slow that the ring has moved on reads what it
missed from the database, and slows nobody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from api.fine_tuning.schemas import FineTuningJob, event_body, job_body
from api.streaming import event
from core.backends.events import EventBus
from core.db.connection import answer_within
from core.db.session import Database, workspace_scope
from core.errors import NotFound
from core.jobs import service as jobs
from core.jobs.models import JobEvent
from core.jobs.states import TERMINAL
from core.jobs.types import EventType
from core.kit.pagination import PageRequest
from core.training import service as training

logger = logging.getLogger(__name__)

# news may be lost, and the bus may be down; this is how late it is then seen
LOOK_EVERY_S = 3.0
# a trainer that speaks many times a second is looked at so often at most
_REST_S = 0.2
_PATIENCE_S = 10.0
BATCH = 1000
_RING = 2000

Line = tuple[int, str]
"""The `seq` of an event and the event as it is sent."""


@dataclass(frozen=True, slots=True)
class _Look:
    job: FineTuningJob
    job_id: str
    lines: list[Line]
    head: int
    is_over: bool


class Feed:
    """What happens to one run, for as long as somebody watches."""

    def __init__(self, database: Database, bus: EventBus, workspace_id: str, run_id: str) -> None:
        self._database, self._bus = database, bus
        self._workspace_id, self._run_id = workspace_id, run_id
        self._ring: deque[Line] = deque()
        self._job: FineTuningJob | None = None
        self._wake = asyncio.Event()
        self._is_closed = False
        self.first_look: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._read())
        self.num_viewers = 0
        self.changed = asyncio.Event()
        """Set when there is news; whoever waits takes it before looking, for the next news have another."""
        self.start = 0
        """The ring holds every event after this one, up to `head`."""
        self.head = 0
        self.job_line = ""
        self.job_version = 0
        self.is_over = False
        """The run has ended, and all it said is told."""

    @property
    def status(self) -> str:
        return self._job.status if self._job else ""

    @property
    def is_closed(self) -> bool:
        """No more news will come: the run has ended, or the bus is going down with the process."""
        return self._is_closed or self._task.done()

    def after(self, seq: int) -> list[Line]:
        """What the ring holds after `seq`."""
        found = []
        for line in reversed(self._ring):
            if line[0] <= seq:
                break
            found.append(line)
        return found[::-1]

    def stop(self) -> None:
        self._task.cancel()

    async def _read(self) -> None:
        try:
            job_id = await self._take()
        except Exception as error:  # noqa: BLE001 - told to those who wait for it
            self.first_look.set_exception(error)
            # and to the loop, which would complain if all of them were gone
            self.first_look.exception()
            return
        self.first_look.set_result(None)
        listener = asyncio.create_task(self._listen(jobs.channel(self._workspace_id, job_id)))
        try:
            # a bus that ends by itself goes down with the process
            while not self.is_over and not listener.done():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
                self._wake.clear()
                try:
                    await self._take()
                except NotFound:
                    return
                except SQLAlchemyError as error:
                    logger.warning("no news of %s: %s", self._run_id, type(error).__name__)
                await asyncio.sleep(_REST_S)
        finally:
            listener.cancel()
            self._is_closed = True
            self._tell()

    async def _listen(self, channel: str) -> None:
        """Wakes the reader, which looks by the clock too: a bus that is down, or silent for ever, costs seconds."""
        while True:
            try:
                async for _ in self._bus.listen(channel, interval_s=LOOK_EVERY_S):
                    self._wake.set()
            except Exception as error:  # noqa: BLE001 - whatever the bus raises, the database still knows
                logger.warning("no live news of %s (%s); looking every %s s", self._run_id, error, LOOK_EVERY_S)
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                self._wake.set()
                return

    async def _take(self) -> str:
        look = await run_in_threadpool(self._look)
        for line in look.lines:
            if len(self._ring) == _RING:
                self.start = self._ring.popleft()[0]
            self._ring.append(line)
        if not self.job_version:
            self.start = look.head
        self.head = look.head
        if look.job != self._job:
            self._job, self.job_line = look.job, event(look.job.model_dump(mode="json"), name="job")
            self.job_version += 1
        self.is_over = look.is_over
        if len(look.lines) == BATCH:
            self._wake.set()
        self._tell()
        return look.job_id

    def _tell(self) -> None:
        told, self.changed = self.changed, asyncio.Event()
        told.set()

    def _look(self) -> _Look:
        """The run as it stands and, but for the first time, what was said since the last look."""
        with answer_within(_PATIENCE_S), self._database.session(workspace_scope(self._workspace_id)) as session:
            workspace_id, run_id = self._workspace_id, self._run_id
            details = training.get(session, workspace_id=workspace_id, run_id=run_id)
            events: Sequence[JobEvent] = []
            if self.job_version:
                events = training.events_after(
                    session, workspace_id=workspace_id, run_id=run_id, after_seq=self.head, limit=BATCH
                )
                newest = events
            else:
                page = PageRequest(limit=1)
                newest = training.list_events(session, workspace_id=workspace_id, run_id=run_id, page=page).items
        return _Look(
            job=job_body(details),
            job_id=details.job.id,
            lines=lines_of(events),
            head=newest[-1].seq if newest else self.head,
            is_over=details.job.state in TERMINAL and len(events) < BATCH,
        )


class Feeds:
    """The feeds of this process, each for as long as somebody watches."""

    def __init__(self, database: Database, bus: EventBus) -> None:
        self._database, self._bus = database, bus
        self._feeds: dict[tuple[str, str], Feed] = {}

    @asynccontextmanager
    async def watch(self, workspace_id: str, run_id: str) -> AsyncGenerator[Feed, None]:
        """The run's feed, after its first look. Raises what that raised."""
        key = (workspace_id, run_id)
        feed = self._feeds.get(key)
        if feed is None or feed.is_closed:
            feed = self._feeds[key] = Feed(self._database, self._bus, workspace_id, run_id)
        feed.num_viewers += 1
        try:
            await asyncio.shield(feed.first_look)
            yield feed
        finally:
            feed.num_viewers -= 1
            if feed.num_viewers == 0:
                feed.stop()
                if self._feeds.get(key) is feed:
                    del self._feeds[key]


def lines_of(events: Sequence[JobEvent]) -> list[Line]:
    return [(found.seq, _line(found)) for found in events]


def _line(found: JobEvent) -> str:
    if found.type is EventType.METRICS:
        return event(found.data or {}, name="metrics", event_id=found.seq)
    return event(event_body(found).model_dump(mode="json"), name="log", event_id=found.seq)
