from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.backends.registry import Backends
from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.types import EventType, Lease, NewEvent
from core.training import execution, result_file
from core.training.execution import Published
from tests.factories.training import make_version, put_base_model_on_disk

CURVE: list[dict[str, Any]] = [
    {"step": 1, "total_steps": 3, "train_loss": 1.0, "train_mean_token_accuracy": 0.25},
    {"step": 2, "total_steps": 3, "train_loss": 0.5, "train_mean_token_accuracy": 0.5, "valid_loss": 0.5},
    {
        "step": 3,
        "total_steps": 3,
        "train_loss": 0.25,
        "train_mean_token_accuracy": 0.75,
        "valid_loss": 0.625,
        "valid_mean_token_accuracy": 0.5,
        "full_valid_loss": 0.625,
        "full_valid_mean_token_accuracy": 0.5,
    },
]
RESULTS: dict[str, Any] = {
    "trained_tokens": 400,
    "steps": 3,
    "best_step": 2,
    "tuned_heldout_loss": 0.5,
    "base_heldout_loss": 2.5,
    "billable_s": 60,
}


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
def succeed(database: Database, backends: Backends) -> Callable[[Lease], str]:
    """Three epochs of a step each and a good end; the id of the tuned model, which is the second's."""

    def _succeed(lease: Lease) -> str:
        curve = [
            NewEvent(f"Step {n}/3: training loss={1 / n:.2f}", EventType.METRICS, data=data)
            for n, data in enumerate(CURVE, 1)
        ]
        with database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.record_events(session, lease, [NewEvent("Fine-tuning job started"), *curve])
        with database.session(workspace_scope(lease.workspace_id)) as session:
            points = result_file.points_of(session, lease)
        stored = result_file.store(backends.blobs, points, key_prefix=f"workspaces/{lease.workspace_id}/{lease.job_id}")
        published = Published(key_prefix="p", digest="d" * 64, files=[])
        with database.session(workspace_scope(lease.workspace_id)) as session:
            adapter = execution.succeed(
                session,
                lease,
                published=published,
                results=RESULTS,
                result_file=stored.file,
                checkpoints=stored.of_epochs([(1, published), (3, published)]),
            )
        return adapter.model_id

    return _succeed
