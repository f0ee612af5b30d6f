from time import monotonic
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.dependencies import PrincipalDep, SessionDep
from api.idempotency import OnceDep
from api.main import create_app
from api.retries import RetriedRoute
from api.schemas import ResponseBody
from core.audit import service as audit
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from tests.api.test_errors import NO_DATABASE, assert_is_error
from tests.factories.backends import memory_backends

Headers = dict[str, str]


class Thing(ResponseBody):
    id: str


class Racer:
    """A route whose transaction loses a race the first `num_losses` times, in its work or at its commit."""

    def __init__(self, app: FastAPI) -> None:
        self.num_losses, self.num_tries, self.sqlstate, self.is_late = 0, 0, "40001", False
        self.bodies: list[dict[str, str]] = []

        def deed(body: dict[str, str], session: SessionDep, principal: PrincipalDep) -> dict[str, int]:
            self.num_tries += 1
            self.bodies.append(body)
            audit.record(session, principal=principal, action="done", target_id="x")
            if self.num_tries <= self.num_losses:
                self._lose(session)
            return {"tries": self.num_tries}

        app.router.add_api_route("/v1/deeds", deed, methods=["POST"], route_class_override=RetriedRoute)

    def _lose(self, session: SessionDep) -> None:
        lose = f"do $$ begin raise exception using errcode = '{self.sqlstate}', message = 'lost'; end $$"
        if not self.is_late:
            session.execute(text(lose))
        session.execute(text("create temp table late (id int) on commit drop"))
        session.execute(
            text(
                "create function pg_temp.lose() returns trigger language plpgsql as "
                f"$$ begin raise exception using errcode = '{self.sqlstate}', message = 'lost'; end $$"
            )
        )
        session.execute(
            text(
                "create constraint trigger lose after insert on late deferrable initially deferred "
                "for each row execute function pg_temp.lose()"
            )
        )
        session.execute(text("insert into late values (1)"))


@pytest.fixture
def racer(app: FastAPI) -> Racer:
    return Racer(app)


@pytest.mark.stack
class TestLostRaces:
    @pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
    @pytest.mark.parametrize("is_late", [False, True])
    def test_the_client_sees_one_success_and_one_deed(
        self, client: TestClient, racer: Racer, as_admin: Headers, sqlstate: str, *, is_late: bool
    ) -> None:
        racer.num_losses, racer.sqlstate, racer.is_late = 3, sqlstate, is_late
        answer = client.post("/v1/deeds", headers=as_admin, json={"a": "b"})
        assert (answer.status_code, answer.json()) == (200, {"tries": 4})
        assert racer.bodies == [{"a": "b"}] * 4
        assert len(client.get("/v1/audit_events", headers=as_admin).json()["data"]) == 1

    def test_one_that_never_ends_is_told_to_come_back(
        self, client: TestClient, racer: Racer, as_admin: Headers
    ) -> None:
        racer.num_losses = 99
        answer = client.post("/v1/deeds", headers=as_admin, json={})
        assert_is_error(answer, 503, "server_error", "database_busy")
        assert answer.headers["retry-after"]
        assert racer.num_tries == 4

    def test_another_failure_is_not_tried_again(self, client: TestClient, racer: Racer, as_admin: Headers) -> None:
        racer.num_losses, racer.sqlstate = 99, "23514"
        assert client.post("/v1/deeds", headers=as_admin, json={}).status_code == 409
        assert racer.num_tries == 1


@pytest.mark.stack
class TestUnavailable:
    @pytest.mark.parametrize(
        ("sqlstate", "status", "code"),
        [
            ("57P01", 503, "database_unavailable"),
            ("53300", 503, "database_unavailable"),
            ("25006", 503, "database_unavailable"),
            ("25P03", 503, "database_unavailable"),
            ("53100", 507, "insufficient_storage"),
            ("42601", 500, "internal_error"),
        ],
    )
    def test_each_state_of_the_database_has_its_answer(
        self, client: TestClient, racer: Racer, as_admin: Headers, sqlstate: str, status: int, code: str
    ) -> None:
        racer.num_losses, racer.sqlstate = 99, sqlstate
        answer = client.post("/v1/deeds", headers=as_admin, json={})
        assert_is_error(answer, status, "server_error", code)
        assert ("retry-after" in answer.headers) == (status == 503)
        assert "Traceback" not in answer.text
        assert "raise exception" not in answer.text

    def test_a_connection_that_the_server_ends_is_a_503_and_the_next_request_works(
        self, app: FastAPI, client: TestClient, as_admin: Headers
    ) -> None:
        @app.get("/v1/cut")
        def cut(session: SessionDep) -> None:
            session.execute(text("select pg_terminate_backend(pg_backend_pid())"))

        answer = client.get("/v1/cut", headers=as_admin)
        assert_is_error(answer, 503, "server_error", "database_unavailable")
        assert client.get("/v1/api_keys", headers=as_admin).status_code == 200

    def test_a_server_that_takes_no_more_connections_is_a_quick_503_and_recovers_by_itself(
        self, settings: Settings, backends: Backends, as_admin: Headers
    ) -> None:
        app = create_app(settings, Database(settings.database_url), backends)
        plain = settings.database_url.replace("+psycopg", "")
        taken: list[psycopg.Connection[Any]] = []
        with TestClient(app) as client:
            try:
                with pytest.raises(psycopg.OperationalError):
                    while True:
                        taken.append(psycopg.connect(plain))
                started = monotonic()
                answer = client.get("/v1/api_keys", headers=as_admin)
                assert monotonic() - started < 5
            finally:
                for connection in taken:
                    connection.close()
            assert_is_error(answer, 503, "server_error", "database_unavailable")
            deadline = monotonic() + 5
            while client.get("/v1/api_keys", headers=as_admin).status_code != 200:
                assert monotonic() < deadline
        app.state.database.dispose()


@pytest.mark.stack
def test_a_create_whose_commit_lost_its_answer_happened_once(
    app: FastAPI, client: TestClient, as_admin: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    @app.post("/v1/things")
    def make(body: dict[str, str], session: SessionDep, principal: PrincipalDep, once: OnceDep) -> Thing:
        def work() -> Thing:
            made.append(audit.record(session, principal=principal, action="made", target_id="x", details=body).id)
            return Thing(id=made[-1])

        return once.answer(Thing, work)

    commit = Session.commit

    def commit_and_lose_the_answer(session: Session) -> None:
        commit(session)
        if made:
            monkeypatch.undo()
            raise OperationalError("commit", {}, Exception("the connection is gone"))

    monkeypatch.setattr(Session, "commit", commit_and_lose_the_answer)
    headers = as_admin | {"idempotency-key": "one thing"}
    lost = client.post("/v1/things", headers=headers, json={"a": "b"})
    assert_is_error(lost, 503, "server_error", "database_unavailable")
    found = client.post("/v1/things", headers=headers, json={"a": "b"})
    assert (found.status_code, found.headers["idempotent-replayed"]) == (200, "true")
    events = client.get("/v1/audit_events", headers=as_admin).json()["data"]
    assert [event["id"] for event in events] == [found.json()["id"]] == made


def test_every_route_is_retried() -> None:
    backends = memory_backends()
    app = create_app(Settings(), Database(NO_DATABASE), backends)
    once = {
        context.path
        for context in iter_route_contexts(app.routes)
        if context.methods and not isinstance(context.original_route, RetriedRoute)
    }
    assert once == {"/v1/openapi.json"}
