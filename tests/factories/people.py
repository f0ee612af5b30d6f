"""Somebody with a password, and their browser."""

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces import service as workspaces
from core.workspaces.roles import Role

EMAIL = "ana@example.com"
PASSWORD = "a long enough password"
OTHER_PASSWORD = "another long password"
ORIGIN = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}


def make_person(
    database: Database,
    workspace_id: str,
    *,
    email: str = EMAIL,
    role: Role = Role.MEMBER,
    password: str | None = PASSWORD,
) -> str:
    """The id of a new member of the workspace."""
    with database.session(SYSTEM) as session:
        user = identity.create_user(session, email=email, name="Ana", password=password)
        workspaces.add_member(session, workspace_id=workspace_id, user_id=user.id, role=role)
    return user.id


def sign_in(client: TestClient, password: str = PASSWORD, email: str = EMAIL, *, code: str | None = None) -> Response:
    body = {"email": email, "password": password} | ({"code": code} if code else {})
    return client.post("/v1/auth/sign_in", json=body, headers=ORIGIN)


def signed_in(client: TestClient, **how: Any) -> TestClient:  # noqa: ANN401 - arguments of sign_in
    """The same browser, which carries its session's token from now on."""
    answer = sign_in(client, **how)
    assert answer.status_code == 200, answer.text
    client.headers.update(ORIGIN | {"x-csrf-token": answer.json()["csrf_token"]})
    return client


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def audited(engine: Engine, workspace_id: str) -> list[str]:
    """The actions in a workspace's log, oldest first."""
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        query = text("select action from audit_events where workspace_id = :workspace_id order by id")
        return list(connection.scalars(query, {"workspace_id": workspace_id}))
