"""What follows a commit: whoever watches the job looks again, and whoever works its queue wakes."""

from functools import partial

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.db.session import after_commit
from core.jobs.models import Job


def channel(workspace_id: str, job_id: str) -> str:
    """Where news of the job is announced on the event bus."""
    return f"workspace:{workspace_id}:job:{job_id}"


def announce_after_commit(session: Session, workspace_id: str, job_id: str, bus: EventBus | None) -> None:
    if bus is not None:
        after_commit(session, partial(bus.publish, channel(workspace_id, job_id)))


def ring_after_commit(session: Session, job: Job, queue: TaskQueue | None) -> None:
    if queue is not None:
        after_commit(session, partial(queue.ring, job.queue.value, job.id))
