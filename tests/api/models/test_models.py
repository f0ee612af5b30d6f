from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.jobs.types import Lease

pytestmark = pytest.mark.stack

Headers = dict[str, str]


@pytest.fixture
def tuned(create: Callable[..., dict[str, Any]], claim: Callable[[], Lease], succeed: Callable[[Lease], str]) -> str:
    create(name="Claims helper")
    return succeed(claim())


class TestList:
    def test_tuned_models_come_before_base_models(
        self, client: TestClient, as_viewer: Headers, model: str, tuned: str
    ) -> None:
        data = client.get("/v1/models", headers=as_viewer).json()["data"]
        assert [(entry["id"], entry["kind"], entry["checkpoint_step"]) for entry in data] == [
            (tuned, "tuned", None),
            (f"{tuned}:ckpt-step-3", "tuned", 3),
            (f"{tuned}:ckpt-step-1", "tuned", 1),
            (model, "base", None),
        ]
        assert {entry["object"] for entry in data} == {"model"}
        assert (data[0]["name"], data[0]["base_model"]) == ("Claims helper", model)
        assert (data[0]["base_heldout_loss"], data[0]["tuned_heldout_loss"]) == (2.5, 0.5)

    def test_another_workspace_sees_base_models_only(
        self, client: TestClient, as_stranger: Headers, model: str, tuned: str
    ) -> None:
        data = client.get("/v1/models", headers=as_stranger).json()["data"]
        assert [entry["id"] for entry in data] == [model]
        assert client.get(f"/v1/models/{tuned}", headers=as_stranger).status_code == 404


class TestDelete:
    def test_a_deleted_model_is_gone_until_it_is_restored(
        self, client: TestClient, as_member: Headers, tuned: str
    ) -> None:
        answer = client.delete(f"/v1/models/{tuned}", headers=as_member)
        assert answer.json() == {"id": tuned, "object": "model", "deleted": True}
        assert client.get(f"/v1/models/{tuned}", headers=as_member).status_code == 404
        assert client.delete(f"/v1/models/{tuned}", headers=as_member).status_code == 404
        body = {"model": tuned, "messages": [{"role": "user", "content": "Hi"}]}
        assert client.post("/v1/chat/completions", headers=as_member, json=body).status_code == 404
        assert client.post(f"/v1/models/{tuned}/restore", headers=as_member).json()["id"] == tuned
        assert client.get(f"/v1/models/{tuned}", headers=as_member).json()["id"] == tuned

    def test_a_base_model_stays(self, client: TestClient, as_admin: Headers, model: str) -> None:
        answer = client.delete(f"/v1/models/{model}", headers=as_admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "base_model_not_deletable")

    def test_a_viewer_may_not(self, client: TestClient, as_viewer: Headers, tuned: str) -> None:
        assert client.delete(f"/v1/models/{tuned}", headers=as_viewer).status_code == 403

    def test_a_stranger_finds_nothing_to_delete(self, client: TestClient, as_stranger: Headers, tuned: str) -> None:
        assert client.delete(f"/v1/models/{tuned}", headers=as_stranger).status_code == 404
        assert client.post(f"/v1/models/{tuned}/restore", headers=as_stranger).status_code == 404
