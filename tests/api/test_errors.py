from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from api.dependencies import SessionDep
from api.main import create_app
from api.schemas import RequestBody
from core import errors
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from tests.factories.backends import memory_backends

NO_DATABASE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


class _Nested(RequestBody):
    rank: int


class _Body(RequestBody):
    name: str
    method: _Nested


def _memory_backends() -> Backends:
    return memory_backends()


@pytest.fixture
def bare_app() -> FastAPI:
    """The app without servers, with routes that fail in each way."""
    app = create_app(Settings(), Database(NO_DATABASE), _memory_backends())
    raised: dict[str, Exception] = {
        "conflict": errors.Conflict("It is running.", code="run_is_running", param="id", details={"state": "running"}),
        "in_flight": errors.Conflict("Wait.", code="request_in_flight", details={"retry_after_s": 1}),
        "rate": errors.RateLimited("Slow down.", details={"retry_after_s": 30}),
        "unavailable": errors.Unavailable("The store sleeps."),
        "too_large": errors.TooLarge("Too large."),
        "bug": RuntimeError("the secret is a-word-of-ours"),
        "half_a_pair": UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    }

    @app.get("/v1/raise/{name}")
    def fail(name: str) -> None:
        raise raised[name]

    @app.post("/v1/validated")
    def validated(body: _Body) -> _Body:
        return body

    return app


@pytest.fixture
def bare_client(bare_app: FastAPI) -> Iterator[TestClient]:
    with TestClient(bare_app) as client:
        yield client


def assert_is_error(answer: Response, status: int, kind: str, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert (error["type"], error["code"]) == (kind, code)
    return error


class TestOneBodyForEveryStatus:
    def test_an_unknown_path(self, bare_client: TestClient) -> None:
        error = assert_is_error(bare_client.get("/v1/nothing"), 404, "invalid_request_error", "unknown_url")
        assert "GET /v1/nothing" in error["message"]

    def test_a_method_the_path_does_not_answer(self, bare_client: TestClient) -> None:
        answer = bare_client.put("/v1/health")
        assert_is_error(answer, 405, "invalid_request_error", "method_not_allowed")
        assert answer.headers["allow"] == "GET"

    def test_a_refused_method_names_all_that_the_path_answers(self, bare_client: TestClient) -> None:
        answer = bare_client.put("/v1/datasets/ds_1")
        assert answer.headers["allow"] == "DELETE, GET, PATCH"

    def test_they_are_those_of_the_path_that_is_meant(self, bare_client: TestClient) -> None:
        for path in ("/v1/fine_tuning/jobs/dry_run", "/v1/models/a/b/restore"):
            assert bare_client.put(path).headers["allow"] == "POST", path

    def test_a_wrong_field_names_it_and_does_not_repeat_the_input(self, bare_client: TestClient) -> None:
        answer = bare_client.post("/v1/validated", json={"name": "a", "method": {"rank": "hunter2"}})
        error = assert_is_error(answer, 400, "invalid_request_error", "invalid_value")
        assert error["param"] == "method.rank"
        assert "hunter2" not in answer.text

    def test_all_wrong_fields_are_listed(self, bare_client: TestClient) -> None:
        error = bare_client.post("/v1/validated", json={"method": {"rank": 1, "rnak": 2}}).json()["error"]
        assert {item["param"] for item in error["details"]["errors"]} == {"name", "method.rnak"}

    def test_broken_json(self, bare_client: TestClient) -> None:
        answer = bare_client.post("/v1/validated", content=b"{", headers={"content-type": "application/json"})
        assert_is_error(answer, 400, "invalid_request_error", "invalid_json")

    def test_a_character_that_cannot_be_stored(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/half_a_pair")
        assert_is_error(answer, 400, "invalid_request_error", "unstorable_value")

    @pytest.mark.parametrize(("content", "kind"), [(b'{"name": "a"}', "text/plain"), (b"[1]", "application/json")])
    def test_a_body_that_is_no_json_object(self, bare_client: TestClient, content: bytes, kind: str) -> None:
        answer = bare_client.post("/v1/validated", content=content, headers={"content-type": kind})
        error = assert_is_error(answer, 400, "invalid_request_error", "invalid_json")
        assert "application/json" in error["message"]

    def test_a_conflict_is_not_worth_retrying(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/conflict")
        error = assert_is_error(answer, 409, "invalid_request_error", "run_is_running")
        assert (error["param"], error["details"]) == ("id", {"state": "running"})
        assert answer.headers["x-should-retry"] == "false"

    def test_a_request_in_flight_is(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/in_flight")
        assert_is_error(answer, 409, "invalid_request_error", "request_in_flight")
        assert answer.headers["x-should-retry"] == "true"
        assert answer.headers["retry-after"] == "1"

    def test_a_rate_limit_says_when_to_come_back(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/rate")
        assert_is_error(answer, 429, "rate_limit_error", "rate_limit_exceeded")
        assert answer.headers["retry-after"] == "30"

    def test_a_dependency_that_is_down(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/unavailable")
        assert_is_error(answer, 503, "server_error", "service_unavailable")
        assert answer.headers["retry-after"]

    def test_a_bug_shows_its_request_id_and_nothing_else(self, bare_client: TestClient) -> None:
        answer = bare_client.get("/v1/raise/bug")
        error = assert_is_error(answer, 500, "server_error", "internal_error")
        assert error["details"] == {"request_id": answer.headers["x-request-id"]}
        assert answer.headers["x-request-id"] in error["message"]
        assert "a-word-of-ours" not in answer.text
        assert "Traceback" not in answer.text

    def test_a_database_that_is_down_is_unavailable_and_not_a_bug(self, bare_client: TestClient) -> None:
        key = "tb_live_" + "0" * 36
        answer = bare_client.get("/v1/members", headers={"cookie": f"tailorbird_session={key}"})
        assert_is_error(answer, 503, "server_error", "database_unavailable")
        assert answer.headers["retry-after"]


class TestSize:
    def test_a_large_body_is_refused_by_its_announced_length(self, bare_client: TestClient) -> None:
        answer = bare_client.post("/v1/validated", json={"name": "a" * 3_000_000})
        assert_is_error(answer, 413, "invalid_request_error", "payload_too_large")

    def test_a_large_body_of_unknown_length_is_refused_as_it_arrives(self, bare_client: TestClient) -> None:
        chunks = (b"x" * 1_000_000 for _ in range(4))
        answer = bare_client.post("/v1/validated", content=chunks, headers={"content-type": "application/json"})
        assert_is_error(answer, 413, "invalid_request_error", "payload_too_large")

    def test_calling_it_an_upload_does_not_help(self, bare_client: TestClient) -> None:
        answer = bare_client.post("/v1/validated", files={"file": b"x" * 3_000_000})
        assert_is_error(answer, 413, "invalid_request_error", "payload_too_large")


class TestHeaders:
    def test_every_answer_is_guarded(self, bare_client: TestClient) -> None:
        headers = bare_client.get("/v1/health").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"

    def test_a_sane_request_id_is_kept_and_an_insane_one_replaced(self, bare_client: TestClient) -> None:
        kept = bare_client.get("/v1/health", headers={"x-request-id": "trace-1"}).headers["x-request-id"]
        replaced = bare_client.get("/v1/health", headers={"x-request-id": "a b"}).headers["x-request-id"]
        assert kept == "trace-1"
        assert replaced.startswith("req_")


@pytest.mark.stack
class TestStoredValues:
    def test_a_nul_character_is_the_senders_mistake(self, client: TestClient, as_admin: dict[str, str]) -> None:
        answer = client.post("/v1/api_keys", headers=as_admin, json={"name": "a\x00b"})
        assert_is_error(answer, 400, "invalid_request_error", "unstorable_value")

    def test_a_commit_that_fails_is_an_error_to_the_client(
        self, app: FastAPI, client: TestClient, as_admin: dict[str, str], database: Database
    ) -> None:
        @app.post("/v1/late")
        def fail_late(session: SessionDep) -> dict[str, bool]:
            session.execute(
                text("create temp table late (id int primary key deferrable initially deferred) on commit drop")
            )
            session.execute(text("insert into late values (1), (1)"))
            return {"ok": True}

        answer = client.post("/v1/late", headers=as_admin)
        assert_is_error(answer, 409, "invalid_request_error", "concurrent_change")
