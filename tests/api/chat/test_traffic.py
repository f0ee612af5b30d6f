"""Questions to a model, as its page tells them."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.db.session import Database, workspace_scope
from core.errors import Unavailable
from core.kit.clock import utc_now
from core.serving.traffic.models import ServedRequest
from tests.api.chat.conftest import Ask, Headers
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack


def traffic(client: TestClient, headers: Headers, model: str, days: int = 7) -> dict[str, Any]:
    answer = client.get(f"/v1/models/{model}/traffic", params={"days": days}, headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


class TestTraffic:
    def test_nobody_has_asked_yet(self, client: TestClient, as_member: Headers, model: str) -> None:
        found = traffic(client, as_member, model)
        assert (found["object"], found["model"], found["days"]) == ("model.traffic", model, 7)
        assert (found["num_requests"], found["first_token"], found["whole_answer"]) == (0, None, None)
        assert len(found["by_day"]) == 7

    @pytest.mark.parametrize("stream", [False, True])
    def test_answers_failures_and_tokens_are_told(
        self, client: TestClient, as_member: Headers, ask: Ask, model: str, inference: FakeInference, *, stream: bool
    ) -> None:
        ask(stream=stream)
        ask(stream=stream)
        inference.error, inference.error_after = Unavailable("It ended.", code="engine_died"), 2
        ask(stream=stream)
        inference.error_after = 0
        ask(stream=stream)
        found = traffic(client, as_member, model)
        assert (found["num_requests"], found["num_failed"], found["num_cancelled"]) == (4, 2, 0)
        assert found["errors"] == [{"code": "engine_died", "num_requests": 2}]
        # two whole answers, and one that broke off after two pieces
        assert (found["prompt_tokens"], found["completion_tokens"]) == (21, 8)
        assert found["by_day"][-1] == {
            "date": utc_now().date().isoformat(),
            "num_requests": 4,
            "num_failed": 2,
            "prompt_tokens": 21,
            "completion_tokens": 8,
        }
        for latency in (found["first_token"], found["whole_answer"]):
            assert 0 <= latency["p50_ms"] <= latency["p95_ms"] < 60_000

    def test_an_alias_is_told_by_itself_and_with_its_model(
        self, client: TestClient, as_member: Headers, as_admin: Headers, ask: Ask, model: str
    ) -> None:
        made = client.post("/v1/aliases", headers=as_admin, json={"name": "support", "model": model})
        assert made.status_code < 300, made.text
        ask(model="support")
        ask()
        assert traffic(client, as_member, "support")["num_requests"] == 1
        assert traffic(client, as_member, model)["num_requests"] == 2

    def test_nothing_of_what_was_said_is_in_it(self, ask: Ask, database: Database, workspace_id: str) -> None:
        ask(messages=[{"role": "user", "content": "My secret is Ostend."}])
        with database.session(workspace_scope(workspace_id)) as session:
            [row] = session.query(ServedRequest)
            assert "Ostend" not in str({name: value for name, value in vars(row).items() if not name.startswith("_")})

    def test_who_may_read_it(
        self, client: TestClient, as_viewer: Headers, as_stranger: Headers, ask: Ask, model: str
    ) -> None:
        ask()
        assert client.get(f"/v1/models/{model}/traffic").status_code == 401
        assert traffic(client, as_viewer, model)["num_requests"] == 1
        # a base model is everybody's, and what others ask of it is not
        assert traffic(client, as_stranger, model)["num_requests"] == 0

    @pytest.mark.parametrize(
        ("name", "days", "status", "code"),
        [("ft:none:x", 7, 404, "model_not_found"), (None, 31, 400, None), (None, "all", 400, None)],
    )
    def test_what_there_is_not_is_refused(
        self,
        client: TestClient,
        as_member: Headers,
        model: str,
        name: str | None,
        days: object,
        status: int,
        code: str | None,
    ) -> None:
        answer = client.get(f"/v1/models/{name or model}/traffic", params={"days": days}, headers=as_member)
        assert answer.status_code == status
        assert code in (None, answer.json()["error"]["code"])
