"""A person in a browser, for tests of what only they can do."""

from fastapi.testclient import TestClient
from httpx2 import Response

from api.browser import csrf_token
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity

_COOKIE = "tailorbird_session"
ORIGIN = {"origin": "http://127.0.0.1:8700", "sec-fetch-site": "same-origin"}


class Browser:
    """Signed in without a password, by a session of its own."""

    def __init__(self, client: TestClient, settings: Settings, database: Database, user_id: str) -> None:
        self._client = client
        with database.session(SYSTEM) as session:
            opened = identity.open_session(session, user_id=user_id, max_s=3600)
        self.session_id = opened.session.id
        self.headers = ORIGIN | {
            "cookie": f"{_COOKIE}={opened.token}",
            "x-csrf-token": csrf_token(settings, session_id=opened.session.id),
        }

    def get(self, path: str, **headers: str) -> Response:
        return self._client.get(path, headers=self.headers | headers)

    def post(self, path: str, body: dict[str, object] | None = None, **headers: str) -> Response:
        answer = self._client.post(path, headers=self.headers | headers, json=body or {})
        if token := answer.cookies.get(_COOKIE):
            # the session was renewed; the jar belongs to whoever else uses the client
            self._client.cookies.clear()
            self.headers |= {"cookie": f"{_COOKIE}={token}", "x-csrf-token": answer.json()["csrf_token"]}
        return answer

    def patch(self, path: str, body: dict[str, object]) -> Response:
        return self._client.patch(path, headers=self.headers, json=body)


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
