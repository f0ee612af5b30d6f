"""What no worker will do any more: give back jobs whose holder went silent, cancel what nobody works on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.jobs.failures import FAILURES, error_from
from core.jobs.journal.repository import JournalRepository
from core.jobs.leases import give_back
from core.jobs.models import Job
from core.jobs.news import announce_after_commit
from core.jobs.repository import JobRepository
from core.jobs.states import TERMINAL, AttemptOutcome
from core.jobs.types import EventLevel, JobError, NewEvent

logger = logging.getLogger(__name__)

Settle = Callable[[Session, Job], None]
"""Told, in the same transaction, of each job that ended without its worker."""

_BATCH = 100
LOST_WORKER: Final[JobError] = error_from(FAILURES["worker_lost"])


@dataclass(frozen=True, slots=True)
class Reaped:
    num_requeued: int
    num_ended: int


def reap(session: Session, *, settle: Settle | None = None, bus: EventBus | None = None) -> Reaped:
    """Needs a system session. A job whose `settle` raises is left as it is for the next time."""
    repository = JobRepository.unscoped(session)
    reaped: list[Job] = []
    for job in repository.lock_expired(_BATCH):
        reaped += _one(session, job, _give_back_expired, settle)
    for job in repository.lock_cancellable(_BATCH):
        reaped += _one(session, job, _cancel, settle)
    for job in reaped:
        announce_after_commit(session, job.workspace_id, job.id, bus)
    num_ended = sum(job.state in TERMINAL for job in reaped)
    return Reaped(num_requeued=len(reaped) - num_ended, num_ended=num_ended)


def _one(session: Session, job: Job, end: Callable[[Session, Job], Job], settle: Settle | None) -> list[Job]:
    job_id = job.id
    try:
        with session.begin_nested():
            ended = end(session, job)
            if ended.state in TERMINAL and settle is not None:
                settle(session, ended)
    except Exception:
        # one bad job must not keep all others waiting
        logger.exception("job %s could not be settled", job_id)
        return []
    return [ended]


def _cancel(session: Session, job: Job) -> Job:
    return JobRepository.unscoped(session).cancel(job)


def _give_back_expired(session: Session, job: Job) -> Job:
    message = "The machine that worked on this stopped answering; the work is given to another."
    JournalRepository(session).add_events(job, [NewEvent(message=message, level=EventLevel.WARN)])
    return give_back(
        session, JobRepository.unscoped(session), job, outcome=AttemptOutcome.LEASE_EXPIRED, error=LOST_WORKER
    )
