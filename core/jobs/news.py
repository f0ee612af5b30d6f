from functools import partial

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.db.session import after_commit


def channel(job_id: str) -> str:
    """Where news of the job is announced on the event bus."""
    return f"job:{job_id}"


def announce_after_commit(session: Session, job_id: str, bus: EventBus | None) -> None:
    if bus is not None:
        after_commit(session, partial(bus.publish, channel(job_id)))
