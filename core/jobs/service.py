"""Jobs as the rest of core sees them: submit, look, cancel. `core.jobs.leases` is the worker's side."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.db.session import after_commit
from core.errors import Conflict, NotFound
from core.jobs.kinds import QUEUE_OF_KIND, JobKind, QueueName
from core.jobs.leases import (
    claim,
    finish,
    heartbeat,
    record_events,
    requeue,
    set_progress,
    set_stage,
)
from core.jobs.models import Job, JobAttempt, JobEvent
from core.jobs.news import announce_after_commit, channel
from core.jobs.reaping import reap
from core.jobs.repository import JobRepository
from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, Blame, JobState
from core.jobs.types import EventLevel, EventType, JobError, NewEvent, QueueOutlook
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest

__all__ = [
    "append_event",
    "channel",
    "claim",
    "events_after",
    "fail_waiting",
    "finish",
    "get",
    "get_many",
    "heartbeat",
    "list_attempts",
    "list_events",
    "outlook",
    "queue_position",
    "reap",
    "record_events",
    "release",
    "request_cancel",
    "requeue",
    "set_progress",
    "set_stage",
    "submit",
]


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
    max_attempts: int = 5,
    estimated_s: float | None = None,
) -> Job:
    """Insert the job; after the commit its queue is rung. In state `validating` it waits for `release`."""
    kind = JobKind(kind)
    if state not in {JobState.QUEUED, JobState.VALIDATING}:
        raise ValueError(f"a job does not begin as {state}")
    job = JobRepository(session, workspace_id).add(
        Job(
            id=job_id or new_id("job_"),
            workspace_id=workspace_id,
            kind=kind,
            queue=queue_name or QUEUE_OF_KIND[kind],
            state=state,
            priority=priority,
            max_attempts=max_attempts,
            estimated_s=estimated_s,
            payload=dict(payload),
            created_by=created_by,
        )
    )
    if state is JobState.QUEUED:
        _ring_after_commit(session, job, queue)
    return job


def release(
    session: Session,
    job: Job,
    queue: TaskQueue | None,
    *,
    payload_changes: Mapping[str, Any] | None = None,
    estimated_s: float | None = None,
    bus: EventBus | None = None,
) -> Job | None:
    """What the job waited for is there: `validating` becomes `queued`. None if the job is no longer waiting."""
    repository = JobRepository(session, job.workspace_id)
    waiting = repository.lock(job.id)
    if waiting is None or waiting.state is not JobState.VALIDATING:
        return None
    queued = repository.move(
        waiting,
        JobState.QUEUED,
        payload={**waiting.payload, **(payload_changes or {})},
        estimated_s=waiting.estimated_s if estimated_s is None else estimated_s,
    )
    _ring_after_commit(session, queued, queue)
    announce_after_commit(session, queued.id, bus)
    return queued


def fail_waiting(
    session: Session, *, workspace_id: str, job_id: str, error: JobError, blame: Blame, bus: EventBus | None = None
) -> Job | None:
    """What a `validating` job waited for will never come. None if the job is no longer waiting."""
    repository = JobRepository(session, workspace_id)
    job = repository.lock(job_id)
    if job is None or job.state is not JobState.VALIDATING:
        return None
    repository.add_events(job, [NewEvent(message=error["message"], level=EventLevel.ERROR)])
    failed = repository.end_lease(job, JobState.FAILED, error=dict(error), blame=blame)
    announce_after_commit(session, job_id, bus)
    return failed


def request_cancel(session: Session, *, workspace_id: str, job_id: str, bus: EventBus | None = None) -> Job:
    """Cancel at once what nobody works on; ask the worker of what runs, which sees it at its next heartbeat.

    Asking twice, or for a cancelled job, changes nothing. Raises `Conflict` for a job that succeeded or failed.
    """
    repository = JobRepository(session, workspace_id)
    job = repository.lock(job_id)
    if job is None:
        raise _not_found(job_id)
    if job.state is JobState.CANCELLED or (job.state is JobState.RUNNING and job.cancel_requested_at):
        return job
    if job.state in TERMINAL:
        raise _wrong_state(job, "cancelled")
    message = "Cancelled." if job.state in CANCELLED_AT_ONCE else "Cancelling: the work stops at the next safe point."
    repository.add_events(job, [NewEvent(message=message)])
    changed = repository.cancel(job) if job.state in CANCELLED_AT_ONCE else repository.mark_cancel_requested(job)
    announce_after_commit(session, job_id, bus)
    return changed


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
    repository = JobRepository(session, workspace_id)
    job = repository.lock(job_id)
    if job is None:
        raise _not_found(job_id)
    repository.add_events(job, [NewEvent(message=message, level=EventLevel(level), type=EventType(type), data=data)])
    announce_after_commit(session, job_id, bus)


def get(session: Session, *, workspace_id: str, job_id: str) -> Job:
    job = JobRepository(session, workspace_id).get(job_id)
    if job is None:
        raise _not_found(job_id)
    return job


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
    return JobRepository(session, workspace_id).events_page(job_id, page or PageRequest(), type)


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
    return JobRepository(session, workspace_id).events_after(job_id, after_seq, type, limit)


def queue_position(session: Session, *, workspace_id: str, job_id: str) -> QueueOutlook | None:
    """Where a queued job stands among all workspaces' jobs of its queue; None if it is not queued."""
    repository = JobRepository(session, workspace_id)
    job = repository.get(job_id)
    if job is None or job.state is not JobState.QUEUED:
        return None
    return repository.outlook(queue_name=job.queue, job=job)


def outlook(session: Session, *, workspace_id: str, queue_name: QueueName) -> QueueOutlook:
    """Where a job would stand if it were submitted now."""
    return JobRepository(session, workspace_id).outlook(queue_name=queue_name, job=None)


def _ring_after_commit(session: Session, job: Job, queue: TaskQueue | None) -> None:
    if queue is not None:
        after_commit(session, partial(queue.ring, job.queue.value, job.id))


def _not_found(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id} in this workspace.", code="job_not_found", param="job_id")


def _wrong_state(job: Job, wanted: str) -> Conflict:
    return Conflict(
        f"Job {job.id} is {job.state} and cannot be {wanted} any more.",
        code="job_state_conflict",
        details={"state": job.state.value},
    )
