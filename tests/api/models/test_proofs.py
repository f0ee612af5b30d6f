"""A model that is not proved to answer as it was trained answers nobody."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.adapters import service as adapters
from core.adapters.service import AdapterFile
from core.adapters.types import PARITY_FILE
from core.audit.models import AuditEvent
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.training import service as training
from core.training.request import RunRequest
from core.workspaces.principal import Principal
from tests.factories.inference import FakeInference, proof
from tests.factories.training import make_version

pytestmark = pytest.mark.stack

Headers = dict[str, str]
FAILED = proof(is_passed=False, code="proof_template_differs", reason="The chat template is another one.")


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def unproved(database: Database, principal: Principal, settings: Settings, model: str) -> str:
    """A model whose trainer wrote down what to compare with, while the runtime could not be reached."""
    with database.session(workspace_scope(principal.workspace_id)) as session:
        request = RunRequest(model=model, dataset_version_id=make_version(session, principal.workspace_id).id)
        run = training.create(session, principal=principal, request=request, settings=settings, queue=None).run
        names = ("adapter_config.json", "adapter_model.safetensors", PARITY_FILE)
        return adapters.register(
            session,
            workspace_id=principal.workspace_id,
            workspace_slug="acme",
            run_id=run.id,
            created_by=None,
            name=None,
            suffix=None,
            base_model=model,
            method="lora",
            quantization=None,
            digest="d" * 64,
            key_prefix="p",
            files=[AdapterFile(name=name, key=f"p/{name}", sha256="e" * 64, num_bytes=2) for name in names],
            spec={},
            metrics={},
        ).model_id


def chat(client: TestClient, headers: Headers, model: str) -> Any:  # noqa: ANN401 - a response
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return client.post("/v1/chat/completions", headers=headers, json=body)


class TestFirstAnswer:
    def test_waits_for_the_proof_and_the_second_does_not(
        self, client: TestClient, as_member: Headers, inference: FakeInference, unproved: str
    ) -> None:
        assert client.get(f"/v1/models/{unproved}", headers=as_member).json()["proof_status"] == "pending"
        assert chat(client, as_member, unproved).status_code == 200
        assert chat(client, as_member, unproved).status_code == 200
        [asked] = inference.proofs_asked
        assert {file.name for file in asked.adapter.files} >= {PARITY_FILE}
        found = client.get(f"/v1/models/{unproved}", headers=as_member).json()
        assert (found["proof_status"], found["proof"]["max_difference"]) == ("passed", 0.0001)

    def test_is_refused_in_words_where_the_proof_fails(
        self, client: TestClient, as_member: Headers, inference: FakeInference, unproved: str
    ) -> None:
        inference.proof = FAILED
        for _ in range(2):  # also without asking the runtime again
            answer = chat(client, as_member, unproved)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, "model_proof_failed", "model")
            assert "The chat template is another one." in error["message"]
        assert (len(inference.proofs_asked), inference.requests) == (1, [])
        found = client.get(f"/v1/models/{unproved}", headers=as_member).json()
        assert (found["is_ready"], found["proof"]["code"]) == (False, "proof_template_differs")


class TestProveAgain:
    def test_puts_a_model_to_use_whose_base_was_put_right(
        self, client: TestClient, as_member: Headers, inference: FakeInference, unproved: str, database: Database
    ) -> None:
        inference.proof = FAILED
        assert client.post(f"/v1/models/{unproved}/prove", headers=as_member).json()["proof_status"] == "failed"
        inference.proof = proof()
        assert client.post(f"/v1/models/{unproved}/prove", headers=as_member).json()["is_ready"] is True
        assert chat(client, as_member, unproved).status_code == 200
        with database.session(SYSTEM) as session:
            events = session.query(AuditEvent).filter_by(action="model.proved").order_by(AuditEvent.id)
            assert [event.details["is_passed"] for event in events] == [False, True]

    def test_needs_the_right_to_change_models_of_this_workspace(
        self,
        client: TestClient,
        as_viewer: Headers,
        as_stranger: Headers,
        model: str,
        as_member: Headers,
        unproved: str,
    ) -> None:
        assert client.post(f"/v1/models/{unproved}/prove").status_code == 401
        assert client.post(f"/v1/models/{unproved}/prove", headers=as_viewer).status_code == 403
        assert client.post(f"/v1/models/{unproved}/prove", headers=as_stranger).status_code == 404
        assert client.post(f"/v1/models/{model}/prove", headers=as_member).status_code == 404
