from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.types import Lease
from core.workers import service as workers
from tests.factories.training import make_version, put_base_model_on_disk


@pytest.fixture
def run_id(
    client: TestClient, as_admin: dict[str, str], settings: Settings, database: Database, workspace_id: str
) -> str:
    """A queued run of the workspace."""
    model = put_base_model_on_disk(settings)
    with database.session(workspace_scope(workspace_id)) as session:
        version_id = make_version(session, workspace_id).id
    body = {"model": model, "dataset_version_id": version_id, "name": "claims-helper"}
    answer = client.post("/v1/fine_tuning/jobs", headers=as_admin, json=body)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["id"]
    return found


@pytest.fixture
def job_id(client: TestClient, as_operator: dict[str, str], run_id: str) -> str:
    """The job of the run."""
    jobs_found = client.get("/v1/admin/jobs?kind=training.run", headers=as_operator).json()["data"]
    found: str = next(job["id"] for job in jobs_found if job["run_id"] == run_id)
    return found


@pytest.fixture
def claim(database: Database) -> Callable[[], Lease]:
    """The worker `w1` joins the queue of runs, and takes one."""

    def _claim() -> Lease:
        with database.session(SYSTEM) as session:
            workers.beat(session, worker_id="w1", hostname="box", queue_name=QueueName.CPU, pid=7, version="1")
            lease = jobs.claim(session, queue_name=QueueName.CPU, worker_id="w1", lease_s=60)
        assert lease is not None
        return lease

    return _claim
