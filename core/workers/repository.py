from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from core.jobs.kinds import QueueName
from core.workers.models import Worker


class WorkerRepository:
    """Worker processes serve every workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, worker_id: str, hostname: str, queue: QueueName, pid: int, version: str) -> None:
        self._session.execute(
            insert(Worker).values(
                id=worker_id,
                hostname=hostname,
                queue=queue,
                pid=pid,
                version=version,
                started_at=func.now(),
                heartbeat_at=func.now(),
            )
        )

    def beat(self, worker_id: str) -> bool:
        """False if the worker is not there (any more)."""
        return (
            self._session.scalar(
                update(Worker).where(Worker.id == worker_id).values(heartbeat_at=func.now()).returning(Worker.id)
            )
            is not None
        )

    def remove(self, worker_id: str) -> None:
        self._session.execute(delete(Worker).where(Worker.id == worker_id))

    def remove_silent(self, after_s: float) -> None:
        self._session.execute(delete(Worker).where(Worker.heartbeat_at < func.now() - timedelta(seconds=after_s)))

    def all(self) -> Sequence[Worker]:
        return self._session.scalars(select(Worker).order_by(Worker.queue, Worker.id)).all()

    def queues(self) -> set[QueueName]:
        """The queues that some worker serves."""
        return set(self._session.scalars(select(Worker.queue).distinct()))

    def try_lock_reconciler(self) -> bool:
        """One reconciler at a time, until the transaction ends."""
        locked = self._session.scalar(text("select pg_try_advisory_xact_lock(hashtextextended('reconciler', 0))"))
        return bool(locked)
