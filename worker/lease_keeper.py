"""Keeps one lease alive, and writes down what the job says, in a thread of its own.

Only this thread talks to the database while a job runs. Whoever watches the job reads plain attributes, so a database
that hangs cannot keep it from noticing that the lease can no longer be ours.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.config import Settings
from core.db.connection import answer_within
from core.db.session import Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.types import EventLevel, EventType, Lease, NewEvent
from core.kit.logs import logged_as
from worker.lease_file import LeaseFile
from worker.output_backlog import OutputBacklog

logger = logging.getLogger(__name__)

# A lease of 60 s that was not renewed for 45 s may soon be another's: the work ends while it is still certainly ours.
FENCE_FRACTION = 0.75
_FLUSH_EVERY_S = 0.5
# a database that hangs is asked again, over another connection, well before the lease is in danger
_MAX_PATIENCE_S = 5.0
# what is said faster than it can be written, for as long as a lease lasts without a database, is rubbish
_MAX_WAITING, _MAX_BATCH = 100_000, 1000
# `checkpoint` and `alive` are for others
_WRITTEN = {"stage", "progress", "metrics", "message"}
# the words of the OpenAI wire, which people's scripts look for
_LOSSES = {
    "train_loss": "training loss",
    "valid_loss": "validation loss",
    "full_valid_loss": "full validation loss",
}
# the database, not the statement, is the trouble
AWAY = (OperationalError, InterfaceError, PoolTimeout)


class LeaseKeeper:
    """Use as a context manager around the work. `asked_at` is when the lease was asked for, if before this."""

    def __init__(
        self, settings: Settings, database: Database, bus: EventBus, lease: Lease, *, asked_at: float | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._lease = lease
        self._lease_s = settings.lease_s
        self._heartbeat_s = settings.heartbeat_s
        self._patience_s = min(_MAX_PATIENCE_S, settings.lease_s / 4)
        self._lines: deque[dict[str, Any]] = deque(maxlen=_MAX_WAITING)
        self._writing = 0
        self._output = OutputBacklog()
        self._wake = threading.Event()
        self._closing = False
        self._renewed_at = time.monotonic() if asked_at is None else asked_at
        self._is_fenced = False
        self._lease_file: LeaseFile | None = None
        self._file_lock = threading.Lock()
        self.cancel_requested = False
        self.pause_requested = False
        self._thread = threading.Thread(target=self._run_as_its_job, name=f"lease-{lease.job_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=self._heartbeat_s)

    @property
    def is_lost(self) -> bool:
        """The lease is another's, or may be before long. Stop, and publish nothing."""
        return self._is_fenced or time.monotonic() > self._fence_at

    @contextmanager
    def shared_with(self, lease_file: LeaseFile) -> Iterator[None]:
        """A child that watches `lease_file` ends itself when this process cannot end it any more."""
        self._set_file(lease_file)
        try:
            yield
        finally:
            self._set_file(None)

    def note(self, line: dict[str, Any]) -> None:
        """Have a line of `events.jsonl` written down soon, in order; of too many the oldest are dropped."""
        if line["type"] in _WRITTEN:
            self._lines.append(line)

    def note_output(self, chunk: bytes) -> None:
        """Have what the child printed written down within a second or two. Returns at once."""
        self._output.add(chunk)

    def flush(self) -> bool:
        """Wait until everything noted is written; False if the lease is lost before that."""
        self._output.hurry()
        self._wake.set()
        while self._lines or self._writing or self._output.is_waiting:
            if self.is_lost or not self._thread.is_alive():
                return False
            time.sleep(0.02)
        return not self.is_lost

    @property
    def _fence_at(self) -> float:
        return self._renewed_at + self._lease_s * FENCE_FRACTION

    def _run_as_its_job(self) -> None:
        with logged_as(self._lease.job_id, self._lease.workspace_id):
            self._run()

    def _run(self) -> None:
        next_heartbeat = time.monotonic() + self._heartbeat_s
        while not self._closing and not self._is_fenced:
            self._wake.wait(min(_FLUSH_EVERY_S, self._heartbeat_s))
            self._wake.clear()
            with answer_within(self._patience_s):
                if time.monotonic() >= next_heartbeat:
                    next_heartbeat = time.monotonic() + (
                        self._heartbeat_s if self._renew() else min(1, self._heartbeat_s)
                    )
                if self._lines:
                    self._write()
                if text := self._output.take():
                    self._write_output(text)

    def _renew(self) -> bool:
        # the lease counts from when the database got the question, which is after we asked
        asked_at = time.monotonic()
        try:
            with self._database.session(workspace_scope(self._lease.workspace_id)) as session:
                reply = jobs.heartbeat(session, self._lease, lease_s=self._lease_s)
        except SQLAlchemyError as error:
            logger.warning("the lease of job %s could not be renewed: %s", self._lease.job_id, error)
            return False
        self._is_fenced = reply.fenced
        self.cancel_requested = reply.cancel_requested
        self.pause_requested = reply.pause_requested
        if not reply.fenced:
            self._renewed_at = asked_at
            self._set_file(self._lease_file)
        return True

    def _set_file(self, lease_file: LeaseFile | None) -> None:
        with self._file_lock:
            self._lease_file = lease_file
            if lease_file is not None:
                lease_file.write(self._fence_at)

    def _write(self) -> None:
        self._writing = min(len(self._lines), _MAX_BATCH)
        batch = [self._lines.popleft() for _ in range(self._writing)]
        try:
            with self._database.session(workspace_scope(self._lease.workspace_id)) as session:
                is_ours = write_lines(session, self._lease, batch, self._bus)
        except AWAY as error:
            logger.warning("events of job %s wait for the database: %s", self._lease.job_id, error)
            self._lines.extendleft(reversed(batch))
            time.sleep(min(_FLUSH_EVERY_S, self._heartbeat_s))
        except SQLAlchemyError:
            # events are news, not the result: one that the database refuses must not block those after it
            logger.exception("events of job %s were refused by the database", self._lease.job_id)
        else:
            self._is_fenced = self._is_fenced or not is_ours
            if self._lines:
                self._wake.set()
        finally:
            self._writing = 0

    def _write_output(self, text: str) -> None:
        try:
            with self._database.session(workspace_scope(self._lease.workspace_id)) as session:
                is_ours = jobs.append_logs(session, self._lease, text)
        except AWAY:
            self._output.put_back(text)
        except SQLAlchemyError:
            logger.exception("output of job %s was refused by the database", self._lease.job_id)
            self._output.written()
        else:
            self._output.written()
            self._is_fenced = self._is_fenced or not is_ours


def write_lines(session: Session, lease: Lease, lines: list[dict[str, Any]], bus: EventBus | None) -> bool:
    """Write what a job said: its events, and the last stage and progress. False if fenced."""
    events = [event for line in lines if (event := _event_of(line)) is not None]
    is_ours = jobs.record_events(session, lease, events, bus=bus)
    stages = [line["stage"] for line in lines if line["type"] == "stage"]
    if is_ours and stages:
        is_ours = jobs.set_stage(session, lease, str(stages[-1]))
    steps = [line for line in lines if line["type"] == "progress"]
    if is_ours and steps:
        is_ours = jobs.set_progress(
            session,
            lease,
            step=int(steps[-1]["step"]),
            total_steps=int(steps[-1]["total_steps"]),
            seconds_left=steps[-1].get("seconds_left"),
        )
    return is_ours


def _event_of(line: dict[str, Any]) -> NewEvent | None:
    if line["type"] == "message":
        return NewEvent(
            message=str(line["message"]), level=EventLevel(line.get("level", "info")), data=line.get("data") or None
        )
    if line["type"] == "metrics":
        step, total_steps, data = int(line["step"]), int(line["total_steps"]), line.get("data") or {}
        losses = [f"{word}={data[key]:.2f}" for key, word in _LOSSES.items() if isinstance(data.get(key), float)]
        message = f"Step {step}/{total_steps}" + (f": {', '.join(losses)}" if losses else "")
        return NewEvent(
            message=message, type=EventType.METRICS, data={**data, "step": step, "total_steps": total_steps}
        )
    return None
