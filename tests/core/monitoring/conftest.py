"""Jobs and workers as time, crashes and other workspaces make them."""

from collections.abc import Callable

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.types import Lease
from core.workers import service as workers


@pytest.fixture
def execute(database: Database) -> Callable[..., None]:
    """Change rows behind everyone's back, to what time or a crash would have made of them."""

    def _execute(statement: str, **values: object) -> None:
        with database.session(SYSTEM) as session:
            session.execute(text(statement), values)

    return _execute


@pytest.fixture
def submit(database: Database, workspace_id: str, execute: Callable[..., None]) -> Callable[..., Job]:
    """Submit a job of the workspace, unless another is named, that became due `age_s` ago."""

    def _submit(*, age_s: float = 0, **changes: object) -> Job:
        values: dict[str, object] = {
            "workspace_id": workspace_id,
            "kind": JobKind.DATASET_INGEST,
            "payload": {"version_id": "dsv_none"},
            "created_by": None,
            **changes,
        }
        with database.session(SYSTEM) as session:
            job = jobs.submit(session, **values)  # type: ignore[arg-type]
        if age_s:
            back = f"interval '{age_s} seconds'"
            execute(
                f"update jobs set queued_at = now() - {back}, created_at = now() - {back} where id = :id", id=job.id
            )
        return job

    return _submit


@pytest.fixture
def claim(database: Database) -> Callable[..., Lease]:
    def _claim(queue_name: str = "io", worker_id: str = "w1", lease_s: float = 60) -> Lease:
        with database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name=queue_name, worker_id=worker_id, lease_s=lease_s)
        assert lease is not None
        return lease

    return _claim


@pytest.fixture
def join(database: Database, execute: Callable[..., None]) -> Callable[..., str]:
    """A worker that joined `age_s` ago and told `silent_s` ago that it is alive."""

    def _join(worker_id: str = "w1", queue_name: str = "io", *, age_s: float = 0, silent_s: float = 0) -> str:
        with database.session(SYSTEM) as session:
            workers.beat(
                session,
                worker_id=worker_id,
                hostname="box",
                queue_name=QueueName(queue_name),
                pid=1,
                version="1",
            )
        execute(
            f"update workers set created_at = now() - interval '{age_s} seconds', "
            f"heartbeat_at = now() - interval '{silent_s} seconds' where id = :id",
            id=worker_id,
        )
        return worker_id

    return _join
