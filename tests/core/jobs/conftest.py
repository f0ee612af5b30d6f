from collections.abc import Callable

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.types import Lease


@pytest.fixture
def claim(database: Database) -> Callable[..., Lease | None]:
    def _claim(queue_name: str = "io", worker_id: str = "w1", lease_s: int = 60) -> Lease | None:
        with database.session(SYSTEM) as session:
            return jobs.claim(session, queue_name=queue_name, worker_id=worker_id, lease_s=lease_s)

    return _claim


@pytest.fixture
def change(database: Database) -> Callable[..., None]:
    """Change a row behind everyone's back, to what time or a crash would have made of it."""

    def _change(job_id: str, assignment: str) -> None:
        with database.session(SYSTEM) as session:
            session.execute(text(f"update jobs set {assignment} where id = :id"), {"id": job_id})

    return _change


@pytest.fixture
def expire(change: Callable[..., None]) -> Callable[[str], None]:
    return lambda job_id: change(job_id, "lease_expires_at = now() - interval '1 second'")


@pytest.fixture
def make_due(change: Callable[..., None]) -> Callable[[str], None]:
    return lambda job_id: change(job_id, "not_before = null")
