"""Makes good what got lost: doorbells, workers, leases. Runs in every worker process; one at a time does the work."""

import logging
from collections import Counter

from sqlalchemy.orm import Session

from core.backends.registry import Backends
from core.db.session import SYSTEM, Database
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.reaping import Reaped, reap
from core.workers import service as workers
from worker.tasks.registry import Handlers, handler_of

logger = logging.getLogger(__name__)

# one doorbell lets a worker empty the queue; a few more wake its neighbours
_MAX_RINGS_PER_QUEUE = 8


def reconcile(database: Database, backends: Backends, *, handlers: Handlers = handler_of) -> Reaped | None:
    """Give back jobs of silent workers, cancel what nobody works on, ring for what is due.

    None if another process is at it. Doing it twice changes nothing.
    """

    def settle(session: Session, job: Job) -> None:
        handlers(JobKind(job.kind)).settle(session, job)

    with database.session(SYSTEM) as session:
        if not workers.try_lock_reconciler(session):
            return None
        workers.remove_silent(session)
        reaped = reap(session, settle=settle, bus=backends.events)
        due = workers.due(session)
    if reaped.num_requeued or reaped.num_ended:
        logger.info("jobs without a worker: %d queued again, %d ended", reaped.num_requeued, reaped.num_ended)
    _ring(backends, due)
    return reaped


def _ring(backends: Backends, due: list[tuple[QueueName, str]]) -> None:
    rung: Counter[QueueName] = Counter()
    for queue, job_id in due:
        if rung[queue] < _MAX_RINGS_PER_QUEUE:
            rung[queue] += 1
            backends.queue.ring(queue.value, job_id)
