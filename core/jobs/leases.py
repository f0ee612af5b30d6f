"""The worker's side of a job: claim it, keep the lease, write under it, end it.

Every write here is guarded by the lease's `attempt`. One that changes no row says so (`False`, `None`, `fenced`): the
job has been given to another, or is over, and the caller stops and publishes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.news import announce_after_commit
from core.jobs.repository import JobRepository
from core.jobs.states import TERMINAL, AttemptOutcome, Blame, JobState
from core.jobs.types import EventLevel, HeartbeatReply, JobError, Lease, NewEvent

_FIRST_RETRY_S = 5
_MAX_RETRY_S = 300
_OUTCOMES = {
    JobState.SUCCEEDED: AttemptOutcome.SUCCEEDED,
    JobState.FAILED: AttemptOutcome.FAILED,
    JobState.CANCELLED: AttemptOutcome.CANCELLED,
}


def claim(session: Session, *, queue_name: QueueName | str, worker_id: str, lease_s: int) -> Lease | None:
    """Lease the job of `queue_name` whose turn it is; None if none is due. Needs a system session."""
    job = JobRepository.unscoped(session).claim(queue_name=QueueName(queue_name), worker_id=worker_id, lease_s=lease_s)
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


def heartbeat(session: Session, lease: Lease, *, lease_s: int = 60) -> HeartbeatReply:
    """Keep the lease for another `lease_s`, and learn whether to stop."""
    job = _repository(session, lease).renew(lease, lease_s=lease_s)
    return HeartbeatReply(fenced=job is None, cancel_requested=job is not None and job.cancel_requested_at is not None)


def record_events(session: Session, lease: Lease, events: Sequence[NewEvent], *, bus: EventBus | None = None) -> bool:
    """Append what the job said. False if fenced, and then nothing is kept."""
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return False
    repository.add_events(job, events)
    announce_after_commit(session, job.id, bus)
    return True


def set_stage(session: Session, lease: Lease, stage: str, *, bus: EventBus | None = None) -> bool:
    announce_after_commit(session, lease.job_id, bus)
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
    announce_after_commit(session, lease.job_id, bus)
    job = _repository(session, lease).set_progress(lease, step=step, total_steps=total_steps, seconds_left=seconds_left)
    return job is not None


def finish(
    session: Session,
    lease: Lease,
    state: JobState,
    *,
    error: JobError | None = None,
    blame: Blame | None = None,
    bus: EventBus | None = None,
) -> bool:
    """End the job for good. False if fenced: then the caller must roll back whatever it did beside this."""
    if state not in TERMINAL:
        raise ValueError(f"{state} does not finish a job")
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return False
    _end(repository, job, state, _OUTCOMES[state], error=error, blame=blame)
    announce_after_commit(session, job.id, bus)
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

    After the last attempt it fails with `error`, and if a cancel was requested it is cancelled: the answer tells. An
    interruption costs no attempt and no delay; a retry waits longer each time.
    """
    repository = _repository(session, lease)
    job = repository.lock_leased(lease)
    if job is None:
        return None
    announce_after_commit(session, job.id, bus)
    return give_back(repository, job, outcome=outcome, error=error, payload_changes=payload_changes).state


def give_back(
    repository: JobRepository,
    job: Job,
    *,
    outcome: AttemptOutcome,
    error: JobError | None,
    payload_changes: Mapping[str, Any] | None = None,
) -> Job:
    """Decide what becomes of a locked running job whose attempt ended without a result."""
    if job.cancel_requested_at is not None:
        return _end(repository, job, JobState.CANCELLED, outcome, error=None, blame=None)
    num_interruptions = job.num_interruptions + (outcome is AttemptOutcome.INTERRUPTED)
    num_failures = job.attempt - num_interruptions
    if num_failures >= job.max_attempts:
        return _end(repository, job, JobState.FAILED, outcome, error=error, blame=Blame.PLATFORM_ERROR)
    delay_s = 0.0
    if outcome is not AttemptOutcome.INTERRUPTED:
        delay_s = float(min(_FIRST_RETRY_S * 2 ** max(0, num_failures - 1), _MAX_RETRY_S))
    repository.close_attempt(job, outcome, None if error is None else dict(error))
    return repository.end_lease(
        job,
        JobState.QUEUED,
        delay_s=delay_s,
        stage=None,
        num_interruptions=num_interruptions,
        payload={**job.payload, **(payload_changes or {})},
    )


def _end(
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
        repository.add_events(job, [NewEvent(message=error["message"], level=EventLevel.ERROR)])
    elif state is JobState.CANCELLED:
        repository.add_events(job, [NewEvent(message="Cancelled.")])
    return repository.end_lease(job, state, error=kept, blame=blame)


def _repository(session: Session, lease: Lease) -> JobRepository:
    return JobRepository(session, lease.workspace_id)
