"""Steering jobs from outside their workers: cancel, pause, resume, later, sooner. Every step minds double clicks."""

from collections.abc import Mapping
from datetime import datetime
from types import EllipsisType
from typing import Any, Literal

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.errors import Conflict, Invalid, NotFound
from core.jobs.journal.repository import JournalRepository
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.news import announce_after_commit, ring_after_commit
from core.jobs.repository import JobRepository
from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, JobState
from core.jobs.types import NewEvent

MAX_PRIORITY = 100
# the least step between two ranks that a double can tell apart at today's epoch
_MIN_RANK_STEP = 1e-5


def request_cancel(session: Session, *, workspace_id: str, job_id: str, bus: EventBus | None = None) -> Job:
    """Cancel at once what nobody works on; ask the worker of what runs, which sees it at its next heartbeat.

    Asking twice, or for a cancelled job, changes nothing. Raises `Conflict` for a job that succeeded or failed.
    """
    repository, job = _locked(session, workspace_id, job_id)
    if job.state is JobState.CANCELLED or (job.state is JobState.RUNNING and job.cancel_requested_at):
        return job
    if job.state in TERMINAL:
        raise _wrong_state(job, "cancelled")
    announce_after_commit(session, workspace_id, job_id, bus)
    if job.state in CANCELLED_AT_ONCE:
        _say(session, job, "Cancelled.")
        return repository.cancel(job)
    _say(session, job, "Cancelling: the work stops at the next safe point.")
    return repository.mark_cancel_requested(job)


def request_pause(session: Session, *, workspace_id: str, job_id: str, bus: EventBus | None = None) -> Job:
    """Pause at once what only waits; ask the worker of what runs to save its place and stop.

    Asking twice changes nothing. Raises `Conflict` for a job that is over or is being cancelled.
    """
    repository, job = _locked(session, workspace_id, job_id)
    if job.state is JobState.PAUSED or job.pause_requested_at is not None:
        return job
    if job.state in TERMINAL or job.cancel_requested_at is not None:
        raise _wrong_state(job, "paused")
    announce_after_commit(session, workspace_id, job_id, bus)
    if job.state is JobState.QUEUED:
        _say(session, job, "Paused.")
        return repository.end_lease(job, JobState.PAUSED)
    _say(session, job, "Pausing: the work saves its place and stops.")
    return repository.mark_pause_requested(job)


def resume(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    queue: TaskQueue | None = None,
    payload_changes: Mapping[str, Any] | None = None,
    bus: EventBus | None = None,
) -> Job:
    """Queue a paused or a failed job again; it goes on from its last checkpoint, with all its attempts before it.

    A pause that is only asked for is taken back. What waits or runs is left alone; what succeeded or was cancelled
    raises `Conflict`.
    """
    repository, job = _locked(session, workspace_id, job_id)
    announce_after_commit(session, workspace_id, job_id, bus)
    if job.state in {JobState.PAUSED, JobState.FAILED}:
        _say(session, job, "Continuing." if job.state is JobState.PAUSED else "Trying again.")
        resumed = repository.end_lease(
            job,
            JobState.QUEUED,
            error=None,
            blame=None,
            num_interruptions=job.attempt,
            payload={**job.payload, **(payload_changes or {})},
        )
        repository.join_queue(resumed)
        ring_after_commit(session, resumed, queue)
        return resumed
    if job.state in TERMINAL:
        raise _wrong_state(job, "continued")
    return job if job.pause_requested_at is None else repository.change(job, pause_requested_at=None)


def reschedule(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    priority: int | None = None,
    not_before: datetime | EllipsisType | None = ...,
    bus: EventBus | None = None,
) -> Job:
    """Change when a job that has not begun may begin: its priority among its workspace's, or a moment to wait for.

    Raises `Conflict` for one that runs or is over.
    """
    repository, job = _locked(session, workspace_id, job_id)
    if job.state not in CANCELLED_AT_ONCE:
        raise _wrong_state(job, "rescheduled")
    changes: dict[str, Any] = {}
    if priority is not None:
        if abs(priority) > MAX_PRIORITY:
            raise Invalid(
                f"priority is {priority}; it may be from -{MAX_PRIORITY} to {MAX_PRIORITY}.",
                code="out_of_range",
                param="priority",
            )
        changes["priority"] = priority
    if not_before is not ...:
        changes["not_before"] = not_before
    announce_after_commit(session, workspace_id, job_id, bus)
    return repository.change(job, **changes) if changes else job


def change_payload(session: Session, *, workspace_id: str, job_id: str, changes: Mapping[str, Any]) -> Job:
    """Change what a job that nobody works on is told when it is claimed. Raises `Conflict` for any other."""
    repository, job = _locked(session, workspace_id, job_id)
    if job.state not in CANCELLED_AT_ONCE:
        raise _wrong_state(job, "changed")
    return repository.change(job, payload={**job.payload, **changes})


def forget(session: Session, job: Job, name: str) -> Job:
    """Take out of what a job that is over was told what nobody need know any more."""
    if job.state not in TERMINAL:
        raise ValueError(f"job {job.id} is {job.state}, and its worker needs {name}")
    kept = {other: value for other, value in job.payload.items() if other != name}
    return JobRepository(session, job.workspace_id).change(job, payload=kept)


def move(
    session: Session,
    *,
    workspace_id: str,
    job_id: str,
    to: Literal["front", "back"] | None = None,
    before_id: str | None = None,
    bus: EventBus | None = None,
) -> Job:
    """Change the place of a queued job among the queued jobs of its workspace; nobody else's turn is touched.

    It takes the priority of those it is put between. Raises `Conflict` if one of the two is not queued.
    """
    repository, job = _locked(session, workspace_id, job_id)
    if job.state is not JobState.QUEUED:
        raise _wrong_state(job, "moved")
    others = [other for other in repository.waiting(job.queue) if other.id != job.id]
    announce_after_commit(session, workspace_id, job_id, bus)
    if not others:
        return job
    if to == "back":
        return repository.move_to_the_end(job, priority=min(job.priority, others[-1].priority))
    index = 0
    if to != "front":
        ids = [other.id for other in others]
        if before_id not in ids:
            raise Conflict(
                f"{before_id} is not waiting in the same queue any more, so nothing can be put before it.",
                code="job_state_conflict",
                param="before",
            )
        index = ids.index(before_id)
    follower = others[index]
    same = [other for other in others[:index] if other.priority == follower.priority]
    if not same:
        rank = follower.queue_rank - 1
    else:
        rank = (same[-1].queue_rank + follower.queue_rank) / 2
        if follower.queue_rank - same[-1].queue_rank < _MIN_RANK_STEP:
            # no room between the two: those before make some
            for distance, other in enumerate(reversed(same), start=1):
                repository.change(other, queue_rank=follower.queue_rank - 1 - distance)
            rank = follower.queue_rank - 1
    return repository.change(job, priority=follower.priority, queue_rank=rank)


def set_max_running(
    session: Session, *, queue_name: QueueName | str, workspace_id: str, max_running: int | None
) -> None:
    """Limit how many jobs of a workspace run at once in a queue. Needs a system session."""
    JobRepository.unscoped(session).set_max_running(
        queue_name=QueueName(queue_name), workspace_id=workspace_id, max_running=max_running
    )


def not_found(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id} in this workspace.", code="job_not_found", param="job_id")


def _locked(session: Session, workspace_id: str, job_id: str) -> tuple[JobRepository, Job]:
    repository = JobRepository(session, workspace_id)
    job = repository.lock(job_id)
    if job is None:
        raise not_found(job_id)
    return repository, job


def _say(session: Session, job: Job, message: str) -> None:
    JournalRepository(session).add_events(job, [NewEvent(message=message)])


def _wrong_state(job: Job, wanted: str) -> Conflict:
    return Conflict(
        f"Job {job.id} is {job.state} and cannot be {wanted} any more."
        if job.cancel_requested_at is None or job.state in TERMINAL
        else f"Job {job.id} is being cancelled and cannot be {wanted} any more.",
        code="job_state_conflict",
        details={"state": job.state.value},
    )
