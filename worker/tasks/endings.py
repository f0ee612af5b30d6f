"""How an attempt that made nothing ends its job: tried again if that may help, or failed, with a way out."""

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.jobs import service as jobs
from core.jobs.failures import Failure, error_from
from core.jobs.states import JobState
from core.jobs.types import EventLevel, JobError, Lease


def give_back_or_fail(
    session: Session, lease: Lease, failure: Failure, *, reported: JobError | None = None, bus: EventBus | None = None
) -> JobState | None:
    """The state the job is then in; None if fenced."""
    error = error_from(failure, reported)
    if _retries_left(session, lease, failure):
        state = jobs.requeue(session, lease, error=error, payload_changes=failure.retry.payload_changes, bus=bus)
        if state is JobState.QUEUED:
            message = failure.retry.told or f"{failure.message} It is tried again from where it was."
            jobs.append_event(
                session,
                workspace_id=lease.workspace_id,
                job_id=lease.job_id,
                message=message,
                level=EventLevel.WARN,
                bus=bus,
            )
        return state
    is_ours = jobs.finish(session, lease, JobState.FAILED, error=error, blame=failure.blame, bus=bus)
    return JobState.FAILED if is_ours else None


def _retries_left(session: Session, lease: Lease, failure: Failure) -> bool:
    """The job's own attempts are counted where it is given back; here those that ended in this very way."""
    if not failure.may_retry:
        return False
    attempts = jobs.list_attempts(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
    before = sum(attempt.error is not None and attempt.error.get("code") == failure.code for attempt in attempts)
    return failure.retries_left(before) != 0
