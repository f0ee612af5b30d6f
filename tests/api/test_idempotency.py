import threading
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import BaseModel

from api.dependencies import PrincipalDep, SessionDep
from api.idempotency import OnceDep
from core.audit import service as audit
from core.errors import Conflict

pytestmark = pytest.mark.stack


class Made(BaseModel):
    id: str


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Shut while a request must hang."""
    found = threading.Event()
    found.set()
    yield found
    found.set()


@pytest.fixture
def entered() -> threading.Event:
    return threading.Event()


@pytest.fixture
def app(app: FastAPI, gate: threading.Event, entered: threading.Event) -> FastAPI:
    @app.post("/v1/things")
    def create(body: dict[str, str], once: OnceDep, session: SessionDep, principal: PrincipalDep) -> Made:
        def work() -> Made:
            entered.set()
            gate.wait(10)
            if body.get("name") == "bad":
                raise Conflict("No.", code="refused")
            return Made(id=audit.record(session, principal=principal, action="made", target_id="x").id)

        return once.answer(Made, work)

    return app


def create(client: TestClient, headers: dict[str, str], name: str = "a") -> Response:
    return client.post("/v1/things", headers=headers, json={"name": name})


def num_made(client: TestClient, headers: dict[str, str]) -> int:
    return len(client.get("/v1/audit_events?action=made", headers=headers).json()["data"])


class TestAKey:
    def test_the_second_request_gets_the_first_answer(self, client: TestClient, as_admin: dict[str, str]) -> None:
        headers = as_admin | {"idempotency-key": "k1"}
        first, second = create(client, headers), create(client, headers)
        assert first.json() == second.json()
        assert "idempotent-replayed" not in first.headers
        assert second.headers["idempotent-replayed"] == "true"
        assert num_made(client, as_admin) == 1

    def test_another_body_under_the_same_key_is_refused(self, client: TestClient, as_admin: dict[str, str]) -> None:
        headers = as_admin | {"idempotency-key": "k1"}
        create(client, headers)
        answer = create(client, headers, "b")
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")

    def test_a_failure_is_not_kept(self, client: TestClient, as_admin: dict[str, str]) -> None:
        headers = as_admin | {"idempotency-key": "k1"}
        assert create(client, headers, "bad").status_code == 409
        assert create(client, headers, "good").status_code == 200

    def test_keys_of_two_workspaces_do_not_meet(
        self, client: TestClient, as_admin: dict[str, str], as_stranger: dict[str, str]
    ) -> None:
        key = {"idempotency-key": "k1"}
        assert create(client, as_admin | key).json() != create(client, as_stranger | key).json()

    def test_an_overlong_key_is_refused(self, client: TestClient, as_admin: dict[str, str]) -> None:
        answer = create(client, as_admin | {"idempotency-key": "k" * 256})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_idempotency_key")

    def test_while_the_first_is_at_work_the_second_is_told_so(
        self, client: TestClient, as_admin: dict[str, str], gate: threading.Event, entered: threading.Event
    ) -> None:
        headers = as_admin | {"idempotency-key": "k1"}
        gate.clear()
        first = threading.Thread(target=create, args=(client, headers))
        first.start()
        assert entered.wait(10)
        answer = create(client, headers)
        gate.set()
        first.join()
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "request_in_flight")
        assert answer.headers["x-should-retry"] == "true"
        assert create(client, headers).headers["idempotent-replayed"] == "true"
        assert num_made(client, as_admin) == 1


class TestAClientThatRetriesWithoutAKey:
    def test_its_retry_gets_the_first_answer(self, client: TestClient, as_admin: dict[str, str]) -> None:
        first = create(client, as_admin | {"x-stainless-retry-count": "0"})
        again = create(client, as_admin | {"x-stainless-retry-count": "1"})
        assert first.json() == again.json()
        assert num_made(client, as_admin) == 1

    def test_two_creates_on_purpose_make_two(self, client: TestClient, as_admin: dict[str, str]) -> None:
        first = create(client, as_admin | {"x-stainless-retry-count": "0"})
        second = create(client, as_admin | {"x-stainless-retry-count": "0"})
        assert first.json() != second.json()
        retried = create(client, as_admin | {"x-stainless-retry-count": "1"})
        assert retried.json() == second.json()

    def test_a_retry_of_what_never_arrived_is_a_first(self, client: TestClient, as_admin: dict[str, str]) -> None:
        assert create(client, as_admin | {"x-stainless-retry-count": "2"}).status_code == 200

    def test_another_callers_answer_is_not_given(
        self, client: TestClient, as_admin: dict[str, str], as_member: dict[str, str]
    ) -> None:
        first = create(client, as_admin)
        other = create(client, as_member | {"x-stainless-retry-count": "1"})
        assert first.json() != other.json()
