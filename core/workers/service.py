"""Worker processes, as they tell of themselves. All need a system session."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.workers.models import Worker
from core.workers.repository import WorkerRepository

_SILENT_AFTER_S = 120
_MAX_RUNG = 100


def beat(session: Session, *, worker_id: str, hostname: str, queue_name: QueueName, pid: int, version: str) -> None:
    """Say that a worker is alive; the first time, and after it was given up, it is registered."""
    workers = WorkerRepository(session)
    if not workers.beat(worker_id):
        workers.add(worker_id=worker_id, hostname=hostname, queue=queue_name, pid=pid, version=version)


def leave(session: Session, *, worker_id: str) -> None:
    WorkerRepository(session).remove(worker_id)


def list_workers(session: Session) -> Sequence[Worker]:
    return WorkerRepository(session).all()


def remove_silent(session: Session) -> None:
    WorkerRepository(session).remove_silent(_SILENT_AFTER_S)


def try_lock_reconciler(session: Session) -> bool:
    """True for one transaction at a time."""
    return WorkerRepository(session).try_lock_reconciler()


def due(session: Session) -> list[tuple[QueueName, str]]:
    """Jobs that could be claimed now and whose queue some worker serves."""
    served = WorkerRepository(session).queues()
    return [(queue, job_id) for queue, job_id in jobs.due(session, limit=_MAX_RUNG) if queue in served]
