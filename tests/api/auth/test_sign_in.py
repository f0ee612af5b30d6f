import pytest
from fastapi.testclient import TestClient

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces import service as workspaces
from core.workspaces.roles import Role

pytestmark = pytest.mark.stack

EMAIL = "ana@example.com"
PASSWORD = "a long enough password"
ORIGIN = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}


@pytest.fixture
def user_id(database: Database, workspace_id: str) -> str:
    with database.session(SYSTEM) as session:
        user = identity.create_user(session, email="Ana@Example.com", name="Ana", password=PASSWORD)
        workspaces.add_member(session, workspace_id=workspace_id, user_id=user.id, role=Role.MEMBER)
    return user.id


def sign_in(client: TestClient, password: str = PASSWORD, email: str = EMAIL):
    return client.post("/v1/auth/sign_in", json={"email": email, "password": password}, headers=ORIGIN)


class TestSignIn:
    def test_gives_the_session_and_a_cookie_scripts_cannot_read(self, client: TestClient, user_id: str) -> None:
        answer = sign_in(client)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["user"] == {"id": user_id, "email": EMAIL, "name": "Ana"}
        assert body["role"] == "member"
        assert body["csrf_token"]
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert client.get("/v1/auth/session").json() == body
