from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.types import EventType, Lease, NewEvent
from core.training import execution
from core.training.execution import Published
from tests.factories.training import make_version, put_base_model_on_disk


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def version(database: Database, workspace_id: str) -> DatasetVersion:
    with database.session(workspace_scope(workspace_id)) as session:
        return make_version(session, workspace_id)


@pytest.fixture
def create(
    client: TestClient, as_member: dict[str, str], model: str, version: DatasetVersion
) -> Callable[..., dict[str, Any]]:
    """Create a job and give its body."""

    def _create(**body: object) -> dict[str, Any]:
        asked = {"model": model, "dataset_version_id": version.id} | body
        answer = client.post("/v1/fine_tuning/jobs", headers=as_member, json=asked)
        assert answer.status_code == 200, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return _create


@pytest.fixture
def claim(database: Database) -> Callable[[], Lease]:
    def _claim() -> Lease:
        with database.session(SYSTEM) as session:
            lease = jobs.claim(session, queue_name="cpu", worker_id="w", lease_s=60)
        assert lease is not None
        return lease

    return _claim


@pytest.fixture
def succeed(database: Database) -> Callable[[Lease], str]:
    """Two steps of training and a good end; the id of the tuned model."""

    def _succeed(lease: Lease) -> str:
        curve = [NewEvent(f"Step {n}/2", EventType.METRICS, data={"step": n, "train_loss": 1 / n}) for n in (1, 2)]
        curve.append(NewEvent("Step 2/2", EventType.METRICS, data={"step": 2, "full_valid_loss": 0.5}))
        with database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.record_events(session, lease, curve)
            adapter = execution.succeed(
                session,
                lease,
                published=Published(key_prefix="p", digest="d" * 64, files=[]),
                results={
                    "trained_tokens": 400,
                    "steps": 2,
                    "tuned_heldout_loss": 0.5,
                    "base_heldout_loss": 2.5,
                    "billable_s": 60,
                },
            )
        return adapter.model_id

    return _succeed
