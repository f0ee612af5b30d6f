"""The end of a run, told to the workspace's webhooks in the transaction that ends it."""

from typing import Final

from sqlalchemy.orm import Session

from core.jobs import service as jobs
from core.jobs.states import JobState
from core.training.models import Run
from core.webhooks import service as webhooks
from core.webhooks.types import EventType

_EVENTS: Final = {
    JobState.SUCCEEDED: EventType.JOB_SUCCEEDED,
    JobState.FAILED: EventType.JOB_FAILED,
    JobState.CANCELLED: EventType.JOB_CANCELLED,
}


def tell_end(session: Session, run: Run) -> None:
    """Call it wherever a run's job has just ended; of an end that was told already nothing is told again.

    A run that failed and is taken up again ends again, in a later attempt.
    """
    job = jobs.get(session, workspace_id=run.workspace_id, job_id=run.job_id)
    event_type = _EVENTS.get(job.state)
    if event_type is not None:
        webhooks.emit(
            session,
            workspace_id=run.workspace_id,
            event_type=event_type,
            subject_id=run.id,
            occurrence=f"{run.id}/{job.attempt}",
        )
