"""Jobs as the rest of core sees them: submit, look, read.

`core.jobs.control` steers them and `core.jobs.leases` is the worker's side; all of it is reached from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.jobs.control import (
    MAX_PRIORITY,
    change_payload,
    forget,
    move,
    not_found,
    request_cancel,
    request_pause,
    reschedule,
    resume,
    set_max_running,
)
from core.jobs.journal.repository import JournalRepository
from core.jobs.kinds import QUEUE_OF_KIND, JobKind, QueueName
from core.jobs.leases import (
    append_logs,
    claim,
    finish,
    heartbeat,
    kill,
    pause,
    record_events,
    requeue,
    set_progress,
    set_stage,
)
from core.jobs.models import Job, JobAttempt, JobEvent, JobLog
from core.jobs.news import announce_after_commit, channel, ring_after_commit
from core.jobs.reaping import reap
from core.jobs.repository import JobRepository
from core.jobs.states import Blame, JobState
from core.jobs.types import Curve, EventLevel, EventType, JobError, NewEvent, QueueOutlook
from core.jobs.waits import waits_of
from core.kit.clock import utc_now
from core.kit.ids import first_id, new_id
from core.kit.pagination import Page, PageRequest

__all__ = [
    "MAX_PRIORITY",
    "append_event",
    "append_logs",
    "change_payload",
    "channel",
    "claim",
    "curve",
    "due",
    "events_after",
    "fail_waiting",
    "finish",
    "forget",
    "get",
    "get_many",
    "heartbeat",
    "is_any_open",
    "kill",
    "list_attempts",
    "list_events",
    "logs_after",
    "move",
    "num_made_lately",
    "outlook",
    "pause",
    "queue_position",
    "reap",
    "record_events",
    "release",
    "request_cancel",
    "request_pause",
    "requeue",
    "reschedule",
    "resume",
    "set_max_running",
    "set_progress",
    "set_stage",
    "submit",
    "waiting",
    "waits_of",
]

_ID_PREFIX = "job_"


def submit(
    session: Session,
    *,
    workspace_id: str,
    kind: JobKind | str,
    payload: Mapping[str, Any],
    created_by: str | None,
    queue: TaskQueue | None = None,
    state: JobState = JobState.QUEUED,
    job_id: str | None = None,
    queue_name: QueueName | None = None,
    priority: int = 0,
    not_before: datetime | None = None,
    max_attempts: int = 5,
    estimated_s: float | None = None,
) -> Job:
    """Insert the job; after the commit its queue is rung. In state `validating` it waits for `release`.

    `priority` is among the jobs of its own workspace; nobody works on it before `not_before`.
    """
    kind = JobKind(kind)
    if state not in {JobState.QUEUED, JobState.VALIDATING}:
        raise ValueError(f"a job does not begin as {state}")
    repository = JobRepository(session, workspace_id)
    is_queued = state is JobState.QUEUED
    job = repository.add(
        Job(
            id=job_id or new_id(_ID_PREFIX),
            workspace_id=workspace_id,
            kind=kind,
            queue=queue_name or QUEUE_OF_KIND[kind],
            state=state,
            priority=priority,
            not_before=not_before,
            queued_at=func.now() if is_queued else None,
            max_attempts=max_attempts,
            estimated_s=estimated_s,
            payload=dict(payload),
            created_by=created_by,
        )
    )
    if is_queued:
        repository.join_queue(job)
        ring_after_commit(session, job, queue)
    return job


def release(
    session: Session,
    job: Job,
    queue: TaskQueue | None,
    *,
    payload_changes: Mapping[str, Any] | None = None,
    estimated_s: float | None = None,
    queue_name: QueueName | None = None,
    bus: EventBus | None = None,
) -> Job | None:
    """What the job waited for is there: `validating` becomes `queued`, or `paused` if that was asked meanwhile.

    None if the job is no longer waiting.
    """
    repository = JobRepository(session, job.workspace_id)
    waiting = repository.lock(job.id)
    if waiting is None or waiting.state is not JobState.VALIDATING:
        return None
    released = repository.move(
        waiting,
        JobState.QUEUED if waiting.pause_requested_at is None else JobState.PAUSED,
        pause_requested_at=None,
        payload={**waiting.payload, **(payload_changes or {})},
        estimated_s=waiting.estimated_s if estimated_s is None else estimated_s,
        queue=queue_name or waiting.queue,
    )
    if released.state is JobState.QUEUED:
        repository.join_queue(released)
        ring_after_commit(session, released, queue)
    announce_after_commit(session, released.workspace_id, released.id, bus)
    return released


def fail_waiting(
    session: Session, *, workspace_id: str, job_id: str, error: JobError, blame: Blame, bus: EventBus | None = None
) -> Job | None:
    """What a `validating` job waited for will never come. None if the job is no longer waiting."""
    repository = JobRepository(session, workspace_id)
    job = repository.lock(job_id)
    if job is None or job.state is not JobState.VALIDATING:
        return None
    JournalRepository(session).add_events(job, [NewEvent(message=error["message"], level=EventLevel.ERROR)])
    failed = repository.end_lease(job, JobState.FAILED, pause_requested_at=None, error=dict(error), blame=blame)
    announce_after_commit(session, workspace_id, job_id, bus)
    return failed


def append_event(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    message: str,
    level: EventLevel | str = EventLevel.INFO,
    type: EventType | str = EventType.MESSAGE,  # noqa: A002 - the word on the wire
    data: dict[str, Any] | None = None,
    bus: EventBus | None = None,
) -> None:
    """Say something about a job from outside its worker."""
    job = JobRepository(session, workspace_id).lock(job_id)
    if job is None:
        raise not_found(job_id)
    event = NewEvent(message=message, level=EventLevel(level), type=EventType(type), data=data)
    JournalRepository(session).add_events(job, [event])
    announce_after_commit(session, workspace_id, job_id, bus)


def get(session: Session, *, workspace_id: str, job_id: str) -> Job:
    job = JobRepository(session, workspace_id).get(job_id)
    if job is None:
        raise not_found(job_id)
    return job


def num_made_lately(session: Session, *, workspace_id: str, within_s: float) -> int:
    """How many jobs the workspace made in the last seconds, by the clock that makes ids."""
    since = utc_now() - timedelta(seconds=within_s)
    return JobRepository(session, workspace_id).num_since(first_id(_ID_PREFIX, since))


def is_any_open(session: Session, *, workspace_id: str, kind: JobKind) -> bool:
    """Whether one of that kind waits or runs."""
    return JobRepository(session, workspace_id).is_any_open(kind)


def get_many(session: Session, *, workspace_id: str, job_ids: Iterable[str]) -> dict[str, Job]:
    """By id; ids that are not there are left out."""
    return {job.id: job for job in JobRepository(session, workspace_id).get_many(job_ids)}


def list_attempts(session: Session, *, workspace_id: str, job_id: str) -> Sequence[JobAttempt]:
    return JobRepository(session, workspace_id).attempts(job_id)


def list_events(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    page: PageRequest | None = None,
    type: EventType | None = None,  # noqa: A002 - the word on the wire
) -> Page[JobEvent]:
    """A page of events, newest first unless the page says ascending."""
    return JournalRepository(session, workspace_id).events_page(job_id, page or PageRequest(), type)


def events_after(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    after_seq: int,
    type: EventType | None = None,  # noqa: A002 - the word on the wire
    limit: int = 1000,
) -> Sequence[JobEvent]:
    """What was said after `after_seq`, in order. Nothing is ever inserted before the last one returned."""
    return JournalRepository(session, workspace_id).events_after(job_id, after_seq, type, limit)


def curve(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    max_points: int,
    from_step: int | None = None,
    to_step: int | None = None,
) -> Curve:
    """What the job measured, by step: all that was said of a step together, and of what was said twice the later.

    Of more steps than `max_points` only those are given that a chart so wide needs.
    """
    num_trained, events = JournalRepository(session, workspace_id).curve(
        job_id, max_points=max_points, from_step=from_step, to_step=to_step
    )
    by_step: dict[int, dict[str, Any]] = {}
    for event in events:
        data = event.data or {}
        by_step[data["step"]] = by_step.get(data["step"], {}) | data
    points = [by_step[step] for step in sorted(by_step)]
    num_steps = num_trained + sum(point.get("train_loss") is None for point in points)
    return Curve(points=points, num_steps=num_steps, is_downsampled=num_trained > max_points)


def queue_position(session: Session, *, workspace_id: str, job_id: str) -> QueueOutlook | None:
    """Where a queued job stands in its queue, by the turns of all workspaces; None if it is not queued."""
    repository = JobRepository(session, workspace_id)
    job = repository.get(job_id)
    if job is None or job.state is not JobState.QUEUED:
        return None
    return repository.outlook(queue_name=job.queue, job=job)


def outlook(session: Session, *, workspace_id: str, queue_name: QueueName) -> QueueOutlook:
    """Where a job would stand if it were submitted now."""
    return JobRepository(session, workspace_id).outlook(queue_name=queue_name, job=None)


def waiting(session: Session, *, workspace_id: str, queue_name: QueueName | None = None) -> Sequence[Job]:
    """The workspace's queued jobs in the order of their turns."""
    return JobRepository(session, workspace_id).waiting(queue_name)


def due(session: Session, *, limit: int) -> Sequence[tuple[QueueName, str]]:
    """Queue and id of jobs of all workspaces that could be claimed now. Needs a system session."""
    return JobRepository.unscoped(session).due(limit)


def logs_after(
    session: Session, *, job_id: str, after_seq: int = 0, workspace_id: str | None = None, limit: int = 200
) -> Sequence[JobLog]:
    """What the job's child printed after `after_seq`, in order. Without a workspace it needs a system session."""
    return JournalRepository(session, workspace_id).logs_after(job_id, after_seq, limit)
