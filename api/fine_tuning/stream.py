"""A run as server-sent events. Every look at the database is a short session in a thread; none is held in between."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

import anyio
from fastapi.concurrency import run_in_threadpool

from api.fine_tuning.schemas import FineTuningJob, event_body, job_body
from api.streaming import COMMENT_HEARTBEAT, event
from core.backends.events import EventBus
from core.db.session import Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.models import JobEvent
from core.jobs.states import TERMINAL
from core.jobs.types import EventType
from core.training import service as training

logger = logging.getLogger(__name__)

# proxies drop a connection that is silent for a minute
HEARTBEAT_S = 15.0
# news may be lost; this is how late it is then seen
LOOK_EVERY_S = 3.0
# browsers come back by themselves and say where they were, so no stream needs to outlive a proxy's patience
MAX_DURATION_S = 600.0
_RECONNECT_MS = 2000
_BATCH = 1000
# a bigint holds any number so long
_MAX_SEQ_DIGITS = 18


@dataclass(slots=True)
class Watch:
    """Who watches which run, and what of it they have seen."""

    database: Database
    bus: EventBus
    workspace_id: str
    run_id: str
    after_seq: int = 0
    shown: FineTuningJob | None = None
    sent_at: float = 0.0


@dataclass(frozen=True, slots=True)
class _Look:
    job: FineTuningJob
    job_id: str
    events: list[JobEvent]
    is_over: bool


def seq_of(event_id: str | None) -> int:
    """From an id that the stream gave; 0, before the first event, for anything else."""
    found = event_id or ""
    return int(found) if found.isascii() and found.isdecimal() and len(found) <= _MAX_SEQ_DIGITS else 0


async def begin(watch: Watch) -> AsyncGenerator[str, None]:
    """The stream after a first look, so that a run that is not there is an ordinary 404."""
    first = await run_in_threadpool(_look, watch)
    return _follow(watch, first)


async def _follow(watch: Watch, look: _Look) -> AsyncGenerator[str, None]:
    started = monotonic()
    yield f"retry: {_RECONNECT_MS}\n\n"
    for line in _news(watch, look):
        yield line
    if look.is_over:
        return
    async with aclosing(_wakes(watch.bus, jobs.channel(look.job_id))) as wakes:
        async for _ in wakes:
            look = await run_in_threadpool(_look, watch)
            for line in _news(watch, look):
                yield line
            if look.is_over or monotonic() - started > MAX_DURATION_S:
                return
            if monotonic() - watch.sent_at > HEARTBEAT_S:
                watch.sent_at = monotonic()
                yield COMMENT_HEARTBEAT


async def _wakes(bus: EventBus, channel: str) -> AsyncGenerator[None, None]:
    """Yields when there may be news. Without the bus the clock alone wakes: news comes later, but it comes."""
    try:
        async for _ in bus.listen(channel, interval_s=LOOK_EVERY_S):
            yield
    except Exception as error:  # noqa: BLE001 - whatever the bus raises, the database still knows
        logger.warning("no live news of %s (%s); looking every %s s", channel, error, LOOK_EVERY_S)
    else:
        return
    while True:
        await anyio.sleep(LOOK_EVERY_S)
        yield


def _look(watch: Watch) -> _Look:
    with watch.database.session(workspace_scope(watch.workspace_id)) as session:
        details = training.get(session, workspace_id=watch.workspace_id, run_id=watch.run_id)
        events = training.events_after(
            session, workspace_id=watch.workspace_id, run_id=watch.run_id, after_seq=watch.after_seq
        )
    is_over = details.job.state in TERMINAL and len(events) < _BATCH
    return _Look(job=job_body(details), job_id=details.job.id, events=list(events), is_over=is_over)


def _news(watch: Watch, look: _Look) -> list[str]:
    """What is in `look` and was not shown yet: log lines and metrics in order, then the run as it now stands."""
    lines = []
    for found in look.events:
        name = "metrics" if found.type is EventType.METRICS else "log"
        body = found.data or {} if name == "metrics" else event_body(found).model_dump(mode="json")
        lines.append(event(body, name=name, event_id=found.seq))
        watch.after_seq = found.seq
    if look.job != watch.shown:
        watch.shown = look.job
        lines.append(event(look.job.model_dump(mode="json"), name="job"))
    if look.is_over:
        lines.append(event({"status": look.job.status}, name="end"))
    if lines:
        watch.sent_at = monotonic()
    return lines
