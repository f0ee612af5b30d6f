"""A run as server-sent events: first what the viewer has not seen, from the database, then the feed, as it happens."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic

import anyio
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError

from api.fine_tuning.feed import BATCH, Feed, Feeds, Line, lines_of
from api.streaming import COMMENT_HEARTBEAT, event
from core.db.session import Database, workspace_scope
from core.kit.pagination import PageRequest
from core.training import service as training

logger = logging.getLogger(__name__)

# proxies drop a connection that is silent for a minute
HEARTBEAT_S = 15.0
# browsers come back by themselves and say where they were, so no stream needs to outlive a proxy's patience
MAX_DURATION_S = 600.0
# so late a revoked key or membership ends a stream that is open
CHECK_ACCESS_EVERY_S = 30.0
_RECONNECT_MS = 2000
# a bigint holds any number so long
_MAX_SEQ_DIGITS = 18


@dataclass(slots=True)
class Watch:
    """Who watches which run, and what of it they have been sent."""

    database: Database
    feeds: Feeds
    workspace_id: str
    run_id: str
    may_still_watch: Callable[[], bool]
    after_seq: int = 0
    job_version: int = 0
    sent_at: float = field(default_factory=monotonic)
    checked_at: float = field(default_factory=monotonic)
    began_at: float = field(default_factory=monotonic)

    @property
    def is_too_long(self) -> bool:
        return monotonic() - self.began_at > MAX_DURATION_S

    async def is_allowed(self) -> bool:
        if monotonic() - self.checked_at < CHECK_ACCESS_EVERY_S:
            return True
        self.checked_at = monotonic()
        return await run_in_threadpool(self.may_still_watch)

    def patience_s(self) -> float:
        """Until something is to be done although there is no news."""
        now = monotonic()
        due = min(self.sent_at + HEARTBEAT_S, self.checked_at + CHECK_ACCESS_EVERY_S, self.began_at + MAX_DURATION_S)
        return max(0.0, due - now)


def seq_of(event_id: str | None) -> int:
    """From an id that the stream gave; 0, before the first event, for anything else."""
    found = event_id or ""
    return int(found) if found.isascii() and found.isdecimal() and len(found) <= _MAX_SEQ_DIGITS else 0


async def begin(watch: Watch) -> AsyncGenerator[str, None]:
    """The stream after a first look, so that a run that is not there is an ordinary 404."""
    return _follow(watch, await run_in_threadpool(_missed if watch.after_seq else _newest, watch))


async def _follow(watch: Watch, missed: list[Line]) -> AsyncGenerator[str, None]:
    yield f"retry: {_RECONNECT_MS}\n\n"
    if missed:
        yield _sent(watch, missed)
    try:
        async with watch.feeds.watch(watch.workspace_id, watch.run_id) as feed, aclosing(_news(watch, feed)) as news:
            async for text in news:
                yield text
    except SQLAlchemyError as error:
        # the browser comes back after the last event it was sent
        logger.warning("a stream of %s ends early: %s", watch.run_id, type(error).__name__)


async def _news(watch: Watch, feed: Feed) -> AsyncGenerator[str, None]:
    while not watch.is_too_long and await watch.is_allowed():
        changed = feed.changed
        if watch.after_seq < feed.start:
            # too slow for the ring, or something was said before the feed began
            start = feed.start
            if missed := await run_in_threadpool(_missed, watch):
                yield _sent(watch, missed)
            else:
                watch.after_seq = start
            continue
        if lines := feed.after(watch.after_seq):
            yield _sent(watch, lines)
            # more may have come while it was sent
            continue
        if watch.job_version != feed.job_version:
            watch.job_version, watch.sent_at = feed.job_version, monotonic()
            yield feed.job_line
            continue
        if feed.is_over:
            yield event({"status": feed.status}, name="end")
            return
        if feed.is_closed:
            return
        with anyio.move_on_after(watch.patience_s()):
            await changed.wait()
        if monotonic() - watch.sent_at >= HEARTBEAT_S:
            watch.sent_at = monotonic()
            yield COMMENT_HEARTBEAT


def _sent(watch: Watch, lines: list[Line]) -> str:
    watch.after_seq, watch.sent_at = lines[-1][0], monotonic()
    return "".join(line for _, line in lines)


def _newest(watch: Watch) -> list[Line]:
    """For a viewer who has seen nothing: the older part of a long run is on its curve and in its log already."""
    with watch.database.session(workspace_scope(watch.workspace_id)) as session:
        page = training.list_events(
            session, workspace_id=watch.workspace_id, run_id=watch.run_id, page=PageRequest(limit=BATCH)
        )
    return lines_of(list(reversed(page.items)))


def _missed(watch: Watch) -> list[Line]:
    with watch.database.session(workspace_scope(watch.workspace_id)) as session:
        events = training.events_after(
            session, workspace_id=watch.workspace_id, run_id=watch.run_id, after_seq=watch.after_seq, limit=BATCH
        )
    return lines_of(events)
