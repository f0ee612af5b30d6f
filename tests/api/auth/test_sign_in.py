import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.sign_in import ATTEMPT_WINDOW_S, MAX_ATTEMPTS, MAX_CLIENT_ATTEMPTS
from tests.factories.people import EMAIL, PASSWORD, audited, code_of, make_person, sign_in, signed_in

pytestmark = pytest.mark.stack


@pytest.fixture
def user_id(database: Database, workspace_id: str) -> str:
    return make_person(database, workspace_id, email="Ana@Example.com")


@pytest.fixture
def browser(client: TestClient, user_id: str) -> TestClient:
    """A signed-in browser: the cookie is in its jar, the token in every request."""
    return signed_in(client)


class TestSignIn:
    def test_gives_the_session_and_a_cookie_scripts_cannot_read(self, client: TestClient, user_id: str) -> None:
        answer = sign_in(client)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["user"] == {"id": user_id, "email": EMAIL, "name": "Ana"}
        assert body["role"] == "member"
        assert "runs:write" in body["permissions"]
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert client.get("/v1/auth/session").json() == body

    def test_an_unknown_address_and_a_wrong_password_read_the_same(self, client: TestClient, user_id: str) -> None:
        unknown, wrong = sign_in(client, email="bob@example.com"), sign_in(client, "wrong password")
        assert code_of(unknown) == (401, "sign_in_failed")
        assert unknown.json() == wrong.json()

    def test_the_eleventh_failure_is_told_to_wait_even_with_the_right_password(
        self, client: TestClient, user_id: str, owner_engine: Engine
    ) -> None:
        with owner_engine.begin() as connection:
            connection.execute(
                text(
                    "insert into sign_in_attempts (id, email) select 'try_' || n, :email from generate_series(1, 10) n"
                ),
                {"email": EMAIL},
            )
        answer = sign_in(client)
        assert code_of(answer) == (429, "too_many_sign_in_attempts")
        assert 0 < int(answer.headers["retry-after"]) <= ATTEMPT_WINDOW_S
        with owner_engine.begin() as connection:
            connection.execute(text("update sign_in_attempts set created_at = now() - interval '16 minutes'"))
        assert sign_in(client).status_code == 200

    def test_the_failure_that_locks_an_address_is_audited_once(
        self, client: TestClient, user_id: str, workspace_id: str, owner_engine: Engine
    ) -> None:
        for _ in range(MAX_ATTEMPTS):
            assert sign_in(client, "wrong password").status_code == 401
        assert sign_in(client, "wrong password").status_code == 429
        assert audited(owner_engine, workspace_id) == ["user.locked_out"]

    def test_a_client_that_tries_many_addresses_is_told_to_wait(
        self, client: TestClient, user_id: str, owner_engine: Engine
    ) -> None:
        with owner_engine.begin() as connection:
            connection.execute(
                text(
                    "insert into sign_in_attempts (id, email, client) "
                    "select 'try_' || n, n || '@example.com', '203.0.113.7' from generate_series(1, :num) n"
                ),
                {"num": MAX_CLIENT_ATTEMPTS},
            )
        there = TestClient(client.app, base_url="http://127.0.0.1:8700", client=("203.0.113.7", 50000))
        assert code_of(sign_in(there)) == (429, "too_many_sign_in_attempts")
        elsewhere = TestClient(client.app, base_url="http://127.0.0.1:8700", client=("203.0.113.8", 50000))
        assert sign_in(elsewhere).status_code == 200

    def test_failures_are_counted_though_their_request_fails(
        self, client: TestClient, user_id: str, owner_engine: Engine
    ) -> None:
        sign_in(client, "wrong password")
        assert _num_attempts(owner_engine) == 1
        sign_in(client)
        assert _num_attempts(owner_engine) == 0

    def test_the_session_of_before_is_ended(self, browser: TestClient) -> None:
        before = browser.cookies["tailorbird_session"]
        sign_in(browser)
        assert browser.cookies["tailorbird_session"] != before
        browser.cookies.clear()
        answer = browser.get("/v1/auth/session", headers={"cookie": f"tailorbird_session={before}"})
        assert code_of(answer) == (401, "session_ended")

    def test_another_sites_page_cannot_sign_somebody_in(self, client: TestClient, user_id: str) -> None:
        body = {"email": EMAIL, "password": PASSWORD}
        answer = client.post("/v1/auth/sign_in", json=body, headers={"origin": "https://evil.example"})
        assert code_of(answer) == (403, "cross_site_request")

    def test_who_belongs_to_no_workspace_is_told_whom_to_ask(self, client: TestClient, database: Database) -> None:
        with database.session(SYSTEM) as session:
            identity.create_user(session, email=EMAIL, name="Ana", password=PASSWORD)
        answer = sign_in(client)
        assert code_of(answer) == (403, "no_workspace")
        assert "set-cookie" not in answer.headers

    def test_it_is_audited(self, browser: TestClient, as_admin: dict[str, str], user_id: str) -> None:
        browser.cookies.clear()
        events = browser.get("/v1/audit_events", headers=as_admin).json()["data"]
        assert [(event["action"], event["target_id"]) for event in events] == [("user.signed_in", user_id)]


class TestOptions:
    def test_say_what_a_sign_in_page_offers(self, client: TestClient) -> None:
        assert client.get("/v1/auth/options").json() == {
            "object": "auth.options",
            "is_set_up": False,
            "sends_mail": True,
            "oidc_name": None,
        }

    def test_somebody_is_enough_to_be_set_up(self, client: TestClient, user_id: str) -> None:
        assert client.get("/v1/auth/options").json()["is_set_up"] is True


class TestSession:
    def test_ends_after_idling(self, browser: TestClient, owner_engine: Engine, settings: Settings) -> None:
        _age_sessions(owner_engine, "last_seen_at", settings.session_idle_s)
        assert code_of(browser.get("/v1/auth/session")) == (401, "session_ended")

    def test_ends_in_any_case(self, browser: TestClient, owner_engine: Engine, settings: Settings) -> None:
        _age_sessions(owner_engine, "expires_at", settings.session_max_s)
        assert code_of(browser.get("/v1/auth/session")) == (401, "session_ended")

    def test_a_request_keeps_it_from_idling(self, browser: TestClient, owner_engine: Engine) -> None:
        _age_sessions(owner_engine, "last_seen_at", 3600)
        browser.get("/v1/auth/session")
        with owner_engine.begin() as connection:
            idle_s = connection.scalar(text("select extract(epoch from now() - last_seen_at) from sessions"))
        assert idle_s < 60

    def test_an_api_key_sees_whom_it_acts_for_and_needs_no_token(
        self, client: TestClient, as_viewer: dict[str, str]
    ) -> None:
        body = client.get("/v1/auth/session", headers=as_viewer).json()
        assert (body["role"], body["csrf_token"]) == ("viewer", None)

    def test_a_copied_table_opens_nothing(self, browser: TestClient, owner_engine: Engine) -> None:
        token = browser.cookies["tailorbird_session"]
        with owner_engine.begin() as connection:
            assert token not in str(connection.execute(text("select * from sessions")).all())


class TestCrossSite:
    def test_without_the_token_nothing_changes(self, browser: TestClient) -> None:
        for token in ("", "0" * 64):
            answer = browser.post("/v1/api_keys", json={"name": "k"}, headers={"x-csrf-token": token})
            assert code_of(answer) == (403, "csrf_token_invalid")

    def test_the_token_of_another_session_does_not_count(self, browser: TestClient) -> None:
        old_token = browser.headers["x-csrf-token"]
        new_token = sign_in(browser).json()["csrf_token"]
        assert old_token != new_token
        assert code_of(browser.post("/v1/api_keys", json={"name": "k"})) == (403, "csrf_token_invalid")

    @pytest.mark.parametrize(
        "headers",
        [
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://["},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
        ],
    )
    def test_another_sites_page_changes_nothing(self, browser: TestClient, headers: dict[str, str]) -> None:
        answer = browser.post("/v1/api_keys", json={"name": "k"}, headers=headers)
        assert code_of(answer) == (403, "cross_site_request")

    def test_our_own_page_may(self, browser: TestClient) -> None:
        assert browser.post("/v1/api_keys", json={"name": "k"}).status_code == 200

    def test_a_bearer_key_needs_none_of_it_and_its_cookie_is_ignored(
        self, browser: TestClient, as_viewer: dict[str, str]
    ) -> None:
        answer = browser.get("/v1/auth/session", headers=as_viewer)
        assert answer.json()["role"] == "viewer"
        bad = browser.get("/v1/auth/session", headers={"authorization": "Bearer tb_live_nonsense"})
        assert code_of(bad) == (401, "invalid_api_key")


class TestSignOut:
    def test_ends_the_session_on_the_server_too(self, browser: TestClient) -> None:
        token = browser.cookies["tailorbird_session"]
        assert browser.post("/v1/auth/sign_out").json() == {"object": "session", "deleted": True}
        assert "tailorbird_session" not in browser.cookies
        answer = browser.get("/v1/auth/session", headers={"cookie": f"tailorbird_session={token}"})
        assert code_of(answer) == (401, "session_ended")

    def test_is_not_for_keys(self, client: TestClient, as_admin: dict[str, str]) -> None:
        assert code_of(client.post("/v1/auth/sign_out", headers=as_admin)) == (403, "browser_only")


class TestPassword:
    def change(self, browser: TestClient, current: str, new: str) -> Response:
        return browser.post("/v1/auth/password", json={"current_password": current, "new_password": new})

    def test_the_new_one_opens_and_the_old_one_does_not(self, browser: TestClient) -> None:
        assert self.change(browser, PASSWORD, "another long password").status_code == 200
        assert sign_in(browser).status_code == 401
        assert sign_in(browser, "another long password").status_code == 200

    def test_other_browsers_are_signed_out_and_this_one_goes_on_under_a_new_id(
        self, browser: TestClient, user_id: str, database: Database
    ) -> None:
        before = browser.cookies["tailorbird_session"]
        with database.session(SYSTEM) as session:
            other = identity.open_session(session, user_id=user_id, max_s=3600)
        token = self.change(browser, PASSWORD, "another long password").json()["csrf_token"]
        assert browser.cookies["tailorbird_session"] != before
        assert browser.get("/v1/auth/session").json()["csrf_token"] == token
        with database.session(SYSTEM) as session:
            for ended in (other.token, before):
                assert identity.find_session(session, token=ended, idle_s=3600) is None

    def test_the_current_one_must_be_right(self, browser: TestClient) -> None:
        assert code_of(self.change(browser, "wrong", "another long password")) == (400, "wrong_password")

    def test_a_stolen_session_does_not_serve_to_guess_it(self, browser: TestClient) -> None:
        for _ in range(MAX_ATTEMPTS):
            assert self.change(browser, "wrong", "another long password").status_code == 400
        refused = self.change(browser, PASSWORD, "another long password")
        assert code_of(refused) == (429, "too_many_sign_in_attempts")

    def test_a_short_one_is_refused(self, browser: TestClient) -> None:
        assert code_of(self.change(browser, PASSWORD, "short")) == (400, "password_length")

    def test_is_not_for_keys(self, client: TestClient, as_admin: dict[str, str]) -> None:
        body = {"current_password": PASSWORD, "new_password": "another long password"}
        answer = client.post("/v1/auth/password", json=body, headers=as_admin)
        assert code_of(answer) == (403, "browser_only")


def _num_attempts(engine: Engine) -> int:
    with engine.begin() as connection:
        return connection.execute(text("select count(*) from sign_in_attempts")).scalar_one()


def _age_sessions(engine: Engine, column: str, seconds: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(f"update sessions set {column} = {column} - make_interval(secs => :seconds)"), {"seconds": seconds}
        )
