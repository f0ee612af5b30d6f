"""Jobs of all workspaces, for whoever runs the installation. Needs a system session."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.jobs import service as leased
from core.jobs.models import Job, JobLog
from core.kit.pagination import Page, PageRequest
from core.monitoring.repository import JobsRepository
from core.monitoring.types import AttemptView, JobFilter, JobView


def list_jobs(session: Session, *, page: PageRequest, wanted: JobFilter | None = None) -> Page[JobView]:
    """Newest first."""
    return JobsRepository(session).page(page, wanted or JobFilter())


def get_job(session: Session, *, job_id: str) -> tuple[JobView, Sequence[AttemptView]]:
    """A job, and its leases from the first to the last."""
    repository = JobsRepository(session)
    view = repository.find(job_id)
    if view is None:
        raise _not_found(job_id)
    return view, repository.attempts(job_id)


def find_any(session: Session, *, job_id: str) -> Job:
    """The job itself, whoever's it is."""
    job = JobsRepository(session).get(job_id)
    if job is None:
        raise _not_found(job_id)
    return job


def list_logs(session: Session, *, job_id: str, after_seq: int, limit: int) -> tuple[Sequence[JobLog], bool]:
    """What the job's processes printed after `after_seq`, in order, and whether there is more."""
    find_any(session, job_id=job_id)
    found = leased.logs_after(session, job_id=job_id, after_seq=after_seq, limit=limit + 1)
    return found[:limit], len(found) > limit


def _not_found(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id}.", code="job_not_found", param="job_id")
