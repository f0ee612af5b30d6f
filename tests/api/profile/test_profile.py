import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.types import Browser
from tests.factories.people import EMAIL, audited, code_of, make_person, sign_in, signed_in

pytestmark = pytest.mark.stack

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0"


@pytest.fixture
def user_id(database: Database, workspace_id: str) -> str:
    return make_person(database, workspace_id)


@pytest.fixture
def browser(app: FastAPI, user_id: str) -> TestClient:
    there = TestClient(app, base_url="http://127.0.0.1:8700", client=("198.51.100.7", 50000))
    there.headers["user-agent"] = FIREFOX
    return signed_in(there)


@pytest.fixture
def elsewhere(database: Database, user_id: str) -> str:
    """The token of another browser of the same person."""
    browser = Browser(user_agent="Mozilla/5.0 (Windows NT 10.0) Chrome/124.0 Safari/537.36", address="203.0.113.7")
    with database.session(SYSTEM) as session:
        return identity.open_session(session, user_id=user_id, max_s=3600, browser=browser).token


class TestProfile:
    def test_says_how_one_signs_in(self, browser: TestClient, user_id: str) -> None:
        assert browser.get("/v1/profile").json() == {
            "id": user_id,
            "object": "profile",
            "email": EMAIL,
            "name": "Ana",
            "has_password": True,
            "totp": {"is_on": False, "num_recovery_codes": 0},
            "identities": [],
            "oidc_name": None,
        }

    def test_a_name_can_be_changed(self, browser: TestClient, workspace_id: str, owner_engine: Engine) -> None:
        assert browser.patch("/v1/profile", json={"name": " Ana Lind "}).json()["name"] == "Ana Lind"
        assert browser.get("/v1/auth/session").json()["user"]["name"] == "Ana Lind"
        assert audited(owner_engine, workspace_id) == ["user.signed_in", "user.renamed"]

    @pytest.mark.parametrize("name", ["", "   "])
    def test_but_not_to_nothing(self, browser: TestClient, name: str) -> None:
        assert code_of(browser.patch("/v1/profile", json={"name": name})) == (400, "invalid_name")

    def test_rights_are_no_part_of_it(self, browser: TestClient) -> None:
        answer = browser.patch("/v1/profile", json={"name": "Ana", "is_installation_admin": True})
        assert code_of(answer) == (400, "invalid_value")

    @pytest.mark.parametrize("path", ["/v1/profile", "/v1/profile/sessions"])
    def test_a_key_has_none(self, client: TestClient, as_admin: dict[str, str], path: str) -> None:
        assert code_of(client.get(path, headers=as_admin)) == (403, "browser_only")


class TestSessions:
    def test_are_listed_in_words_with_this_one_marked(self, browser: TestClient, elsewhere: str) -> None:
        found = browser.get("/v1/profile/sessions").json()["data"]
        assert {(item["device"], item["client_address"], item["is_current"]) for item in found} == {
            ("Firefox on Linux", "198.51.100.7", True),
            ("Chrome on Windows", "203.0.113.7", False),
        }

    def test_hold_nobody_elses_and_no_ended_one(
        self, browser: TestClient, database: Database, workspace_id: str, user_id: str
    ) -> None:
        other = make_person(database, workspace_id, email="bo@example.com")
        with database.session(SYSTEM) as session:
            identity.open_session(session, user_id=other, max_s=3600)
            identity.open_session(session, user_id=user_id, max_s=-1)
        assert len(browser.get("/v1/profile/sessions").json()["data"]) == 1

    def test_one_can_be_revoked(
        self, browser: TestClient, elsewhere: str, database: Database, workspace_id: str, owner_engine: Engine
    ) -> None:
        [other] = [item for item in browser.get("/v1/profile/sessions").json()["data"] if not item["is_current"]]
        assert browser.delete(f"/v1/profile/sessions/{other['id']}").json()["deleted"] is True
        with database.session(SYSTEM) as session:
            assert identity.find_session(session, token=elsewhere, idle_s=3600) is None
        assert browser.get("/v1/auth/session").status_code == 200
        assert audited(owner_engine, workspace_id)[-1] == "user.session_revoked"

    def test_revoking_this_one_signs_out(self, browser: TestClient) -> None:
        [here] = browser.get("/v1/profile/sessions").json()["data"]
        browser.delete(f"/v1/profile/sessions/{here['id']}")
        assert "tailorbird_session" not in browser.cookies

    def test_all_others_can_be_revoked(
        self, browser: TestClient, elsewhere: str, workspace_id: str, owner_engine: Engine
    ) -> None:
        assert browser.delete("/v1/profile/sessions").json()["num_deleted"] == 1
        assert [item["is_current"] for item in browser.get("/v1/profile/sessions").json()["data"]] == [True]
        assert audited(owner_engine, workspace_id)[-1] == "user.sessions_revoked"

    def test_somebody_elses_is_not_there(self, browser: TestClient, database: Database, workspace_id: str) -> None:
        other = make_person(database, workspace_id, email="bo@example.com")
        with database.session(SYSTEM) as session:
            session_id = identity.open_session(session, user_id=other, max_s=3600).session.id
        answer = browser.delete(f"/v1/profile/sessions/{session_id}")
        assert code_of(answer) == (404, "session_not_found")
        assert answer.json() == browser.delete("/v1/profile/sessions/sess_none").json() | {
            "error": answer.json()["error"]
        }

    def test_a_key_revokes_none(
        self, client: TestClient, as_admin: dict[str, str], user_id: str, database: Database
    ) -> None:
        admin_id = client.get("/v1/auth/session", headers=as_admin).json()["user"]["id"]
        with database.session(SYSTEM) as session:
            opened = identity.open_session(session, user_id=admin_id, max_s=3600)
        answer = client.delete(f"/v1/profile/sessions/{opened.session.id}", headers=as_admin)
        assert code_of(answer) == (403, "browser_only")
        with database.session(SYSTEM) as session:
            assert identity.find_session(session, token=opened.token, idle_s=3600) is not None

    def test_a_token_that_somebody_planted_is_never_taken_over(self, client: TestClient, user_id: str) -> None:
        client.cookies.set("tailorbird_session", "planted-by-somebody-else", domain="127.0.0.1")
        answer = sign_in(client)
        assert "planted-by-somebody-else" not in answer.headers["set-cookie"]
        client.cookies.clear()
        planted = client.get("/v1/auth/session", headers={"cookie": "tailorbird_session=planted-by-somebody-else"})
        assert code_of(planted) == (401, "session_ended")
