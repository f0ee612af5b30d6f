"""The worker's side of a job: claim it, keep the lease, write under it, end it.

Every write here is guarded by the lease's `attempt`. One that changes no row says so (`False`, `None`, `fenced`): the
job has been given to another, or is over, and the caller stops and publishes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.jobs.journal.repository import JournalRepository
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.news import announce_after_commit
from core.jobs.repository import JobRepository
from core.jobs.states import FORGIVEN, TERMINAL, AttemptOutcome, Blame, JobState
from core.jobs.types import EventLevel, HeartbeatReply, JobError, Lease, NewEvent

_FIRST_RETRY_S = 5
_MAX_RETRY_S = 300
# of one attempt; enough for the end of any trace
_MAX_LOG_CHARS = 512 * 1024
_OUTCOMES = {
    JobState.SUCCEEDED: AttemptOutcome.SUCCEEDED,
    JobState.FAILED: AttemptOutcome.FAILED,
    JobState.CANCELLED: AttemptOutcome.CANCELLED,
}


def claim(
    session: Session, *, queue_name: QueueName | str, worker_id: str, lease_s: float, max_running: int = 0
) -> Lease | None:
    """Lease the job of `queue_name` whose turn it is; None if none is due. Needs a system session.

    `max_running` limits the workspaces that have no limit of their own; 0 does not.
    """
    job = JobRepository.unscoped(session).claim(
        queue_name=QueueName(queue_name), worker_id=worker_id, lease_s=lease_s, max_running=max_running
    )
    if job is None:
        return None
    return Lease(
        job_id=job.id,
        workspace_id=job.workspace_id,
        kind=job.kind,
        attempt=job.attempt,
        payload=job.payload,
        worker_id=worker_id,
    )


def heartbeat(session: Session, lease: Lease, *, lease_s: float = 60) -> HeartbeatReply:
    """Keep the lease for another `lease_s`, and learn whether to stop."""
    job = _repository(session, lease).renew(lease, lease_s=lease_s)
    if job is None:
        return HeartbeatReply(fenced=True, cancel_requested=False)
    return HeartbeatReply(
        fenced=False,
        cancel_requested=job.cancel_requested_at is not None,
        pause_requested=job.pause_requested_at is not None,
    )


def record_events(session: Session, lease: Lease, events: Sequence[NewEvent], *, bus: EventBus | None = None) -> bool:
    """Append what the job said. False if fenced, and then nothing is kept."""
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return False
    JournalRepository(session).add_events(job, events)
    announce_after_commit(session, job.workspace_id, job.id, bus)
    return True


def append_logs(session: Session, lease: Lease, text: str) -> bool:
    """Keep what the child printed. False if fenced, and then nothing is kept."""
    if _repository(session, lease).lock_leased(lease) is None:
        return False
    JournalRepository(session).add_log(lease, text, max_chars=_MAX_LOG_CHARS)
    return True


def set_stage(session: Session, lease: Lease, stage: str, *, bus: EventBus | None = None) -> bool:
    announce_after_commit(session, lease.workspace_id, lease.job_id, bus)
    return _repository(session, lease).change_leased(lease, stage=stage) is not None


def set_progress(
    session: Session,
    lease: Lease,
    *,
    step: int,
    total_steps: int,
    seconds_left: float | None = None,
    bus: EventBus | None = None,
) -> bool:
    announce_after_commit(session, lease.workspace_id, lease.job_id, bus)
    job = _repository(session, lease).set_progress(lease, step=step, total_steps=total_steps, seconds_left=seconds_left)
    return job is not None


def finish(
    session: Session,
    lease: Lease,
    state: JobState,
    *,
    error: JobError | None = None,
    blame: Blame | None = None,
    payload_changes: Mapping[str, Any] | None = None,
    bus: EventBus | None = None,
) -> bool:
    """End the job for good. False if fenced: then the caller must roll back whatever it did beside this."""
    if state not in TERMINAL:
        raise ValueError(f"{state} does not finish a job")
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return False
    if payload_changes:
        job = repository.change(job, payload={**job.payload, **payload_changes})
    _end(session, repository, job, state, _OUTCOMES[state], error=error, blame=blame)
    announce_after_commit(session, job.workspace_id, job.id, bus)
    return True


def requeue(
    session: Session,
    lease: Lease,
    *,
    outcome: AttemptOutcome = AttemptOutcome.RETRIED,
    error: JobError | None = None,
    payload_changes: Mapping[str, Any] | None = None,
    bus: EventBus | None = None,
) -> JobState | None:
    """Give the job back for another attempt; None if fenced.

    After the last attempt it fails with `error`, if a cancel was requested it is cancelled, and if a pause was, paused:
    the answer tells. An interruption costs no attempt and no delay; a retry waits longer each time.
    """
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return None
    announce_after_commit(session, job.workspace_id, job.id, bus)
    return give_back(session, repository, job, outcome=outcome, error=error, payload_changes=payload_changes).state


def pause(
    session: Session,
    lease: Lease,
    *,
    error: JobError | None = None,
    blame: Blame | None = None,
    bus: EventBus | None = None,
) -> JobState | None:
    """The work has saved its place and stopped: the job waits until somebody resumes it. None if fenced.

    `error` says why if it was not its owner's wish. If a cancel was requested meanwhile the job is cancelled.
    """
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return None
    announce_after_commit(session, job.workspace_id, job.id, bus)
    if job.cancel_requested_at is not None:
        return _end(session, repository, job, JobState.CANCELLED, AttemptOutcome.PAUSED, error=None, blame=None).state
    return _pause(session, repository, job, AttemptOutcome.PAUSED, error=error, blame=blame).state


def kill(session: Session, *, job_id: str, bus: EventBus | None = None) -> Job | None:
    """Take the lease away: the job is queued again, and its worker, once it notices, publishes nothing.

    None if nobody works on it. Needs a system session.
    """
    repository = JobRepository.unscoped(session)
    job = repository.lock(job_id)
    if job is None or job.state is not JobState.RUNNING:
        return None
    message = "An admin took this from the machine that worked on it; it is given to the next one that is free."
    JournalRepository(session).add_events(job, [NewEvent(message=message, level=EventLevel.WARN)])
    announce_after_commit(session, job.workspace_id, job.id, bus)
    return give_back(session, repository, job, outcome=AttemptOutcome.KILLED, error=None)


def give_back(
    session: Session,
    repository: JobRepository,
    job: Job,
    *,
    outcome: AttemptOutcome,
    error: JobError | None,
    payload_changes: Mapping[str, Any] | None = None,
) -> Job:
    """Decide what becomes of a locked running job whose attempt ended without a result."""
    if job.cancel_requested_at is not None:
        return _end(session, repository, job, JobState.CANCELLED, outcome, error=None, blame=None)
    num_interruptions = job.num_interruptions + (outcome in FORGIVEN)
    num_failures = job.attempt - num_interruptions
    if num_failures >= job.max_attempts:
        return _end(session, repository, job, JobState.FAILED, outcome, error=error, blame=Blame.PLATFORM_ERROR)
    if job.pause_requested_at is not None:
        return _pause(session, repository, job, outcome, error=None, blame=None)
    delay_s = 0.0
    if outcome not in FORGIVEN:
        delay_s = float(min(_FIRST_RETRY_S * 2 ** max(0, num_failures - 1), _MAX_RETRY_S))
    repository.close_attempt(job, outcome, error)
    return repository.end_lease(
        job,
        JobState.QUEUED,
        delay_s=delay_s,
        stage=None,
        num_interruptions=num_interruptions,
        payload={**job.payload, **(payload_changes or {})},
    )


def _pause(
    session: Session,
    repository: JobRepository,
    job: Job,
    outcome: AttemptOutcome,
    *,
    error: JobError | None,
    blame: Blame | None,
) -> Job:
    repository.close_attempt(job, outcome, error)
    event = NewEvent(message="Paused. Everything so far is kept.")
    if error is not None:
        event = NewEvent(message=error["message"], level=EventLevel.WARN)
    JournalRepository(session).add_events(job, [event])
    return repository.end_lease(
        job,
        JobState.PAUSED,
        stage=None,
        pause_requested_at=None,
        num_interruptions=job.num_interruptions + (outcome in FORGIVEN),
        error=None if error is None else dict(error),
        blame=blame,
    )


def _end(
    session: Session,
    repository: JobRepository,
    job: Job,
    state: JobState,
    outcome: AttemptOutcome,
    *,
    error: JobError | None,
    blame: Blame | None,
) -> Job:
    kept = None if error is None else dict(error)
    repository.close_attempt(job, outcome, kept)
    if error is not None:
        JournalRepository(session).add_events(job, [NewEvent(message=error["message"], level=EventLevel.ERROR)])
    elif state is JobState.CANCELLED:
        JournalRepository(session).add_events(job, [NewEvent(message="Cancelled.")])
    return repository.end_lease(job, state, pause_requested_at=None, error=kept, blame=blame)


def _repository(session: Session, lease: Lease) -> JobRepository:
    return JobRepository(session, lease.workspace_id)
