import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from api.dependencies import PrincipalDep, SessionDep
from core.audit import service as audit
from core.db.session import Database, after_commit, workspace_scope
from core.kit.pagination import PageRequest

pytestmark = pytest.mark.stack


@pytest.fixture
def app(app: FastAPI) -> FastAPI:
    @app.post("/v1/deeds")
    def do(session: SessionDep, principal: PrincipalDep, *, is_bad: bool = False) -> dict[str, str]:
        event = audit.record(session, principal=principal, action="done", target_id="x")
        after_commit(session, lambda: app.state.rung.append(event.id))
        if is_bad:
            msg = "broken"
            raise RuntimeError(msg)
        return {"id": event.id}

    app.state.rung = []
    return app


def test_what_a_client_was_told_is_committed_and_rung_before_the_first_byte(
    app: FastAPI, database: Database, workspace_id: str, as_admin: dict[str, str]
) -> None:
    seen_at_start: list[int] = []

    async def spying_app(scope: Scope, receive: Receive, send: Send) -> None:
        async def spying_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                with database.session(workspace_scope(workspace_id)) as session:
                    page = audit.list_events(session, workspace_id=workspace_id, page=PageRequest())
                seen_at_start.append(len(page.items) + len(app.state.rung))
            await send(message)

        await app(scope, receive, spying_send)

    with TestClient(spying_app) as client:
        assert client.post("/v1/deeds", headers=as_admin).status_code == 200
    assert seen_at_start == [2]


def test_a_failure_leaves_nothing_behind(app: FastAPI, client: TestClient, as_admin: dict[str, str]) -> None:
    assert client.post("/v1/deeds?is_bad=true", headers=as_admin).status_code == 500
    assert client.get("/v1/audit_events", headers=as_admin).json()["data"] == []
    assert app.state.rung == []
