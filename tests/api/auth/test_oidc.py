"""The single sign-on from our page to a real provider on loopback and back, and everything that must not work."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.oidc import service as oidc
from core.workspaces import service as workspaces
from core.workspaces.roles import Role
from tests.factories.oidc import Provider, running_provider
from tests.factories.people import EMAIL, ORIGIN, PASSWORD, audited, code_of, make_person, signed_in

pytestmark = pytest.mark.stack

CALLBACK = "http://127.0.0.1:8700/v1/auth/oidc/callback"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider(redirect_uri=CALLBACK) as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    running.forge = None
    running.know("ana", email=EMAIL, email_verified=True, name="Ana Lind")
    return running


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    return settings.model_copy(
        update={
            "oidc_issuer": provider.issuer,
            "oidc_client_id": provider.client_id,
            "oidc_client_secret": provider.client_secret,
            "oidc_name": "Example ID",
        }
    )


def start(client: TestClient, to: str = "/data") -> str:
    answer = client.post("/v1/auth/oidc/start", json={"to": to}, headers=ORIGIN)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["url"]
    return url


def come_back(client: TestClient, location: str) -> Response:
    assert location.startswith(f"{CALLBACK}?")
    return client.get(location, follow_redirects=False)


def through(client: TestClient, provider: Provider, subject: str = "ana", to: str = "/data") -> Response:
    return come_back(client, provider.consent(start(client, to), subject=subject))


def problem_of(answer: Response) -> str:
    """Why the sign-in page is shown again; nobody was signed in."""
    assert answer.status_code == 303
    assert "tailorbird_session=" not in str(answer.headers)
    target = urlsplit(answer.headers["location"])
    assert (target.netloc, target.path) == ("", "/sign-in")
    return parse_qs(target.query)["problem"][0]


def link(database: Database, provider: Provider, user_id: str, subject: str = "ana") -> None:
    claims = oidc.Claims(issuer=provider.issuer, subject=subject, email=None, name="")
    with database.session(SYSTEM) as session:
        oidc.link(session, user_id=user_id, claims=claims)


class TestKnownIdentity:
    def test_signs_in_and_returns_to_where_it_began(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str, owner_engine: Engine
    ) -> None:
        user_id = make_person(database, workspace_id)
        link(database, provider, user_id)
        answer = through(client, provider, to="/data/ds_1?filter=heldout")
        assert answer.headers["location"] == "/data/ds_1?filter=heldout"
        assert client.get("/v1/auth/session").json()["user"]["id"] == user_id
        assert audited(owner_engine, workspace_id) == ["user.signed_in"]
        # the way there and back leaves nothing in the browser
        assert "tailorbird_oidc" not in client.cookies

    def test_is_known_by_its_subject_whatever_its_address_is_now(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        user_id = make_person(database, workspace_id, email="ana.before@example.com")
        link(database, provider, user_id)
        provider.know("ana", email="ana.married@example.com", email_verified=False)
        through(client, provider)
        assert client.get("/v1/auth/session").json()["user"]["id"] == user_id

    def test_the_session_of_before_is_ended(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        link(database, provider, make_person(database, workspace_id))
        before = signed_in(client).cookies["tailorbird_session"]
        through(client, provider)
        assert client.cookies["tailorbird_session"] != before
        with database.session(SYSTEM) as session:
            assert identity.find_session(session, token=before, idle_s=3600) is None

    def test_who_has_left_every_workspace_is_told_whom_to_ask(
        self, client: TestClient, provider: Provider, database: Database
    ) -> None:
        with database.session(SYSTEM) as session:
            user_id = identity.create_user(session, email=EMAIL, name="Ana", password=PASSWORD).id
        link(database, provider, user_id)
        assert problem_of(through(client, provider)) == "no_workspace"


class TestUnknownIdentity:
    def test_is_not_handed_the_account_with_its_address(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        user_id = make_person(database, workspace_id)
        assert problem_of(through(client, provider)) == "oidc_not_linked"
        with database.session(SYSTEM) as session:
            assert oidc.list_identities(session, user_id=user_id) == []

    def test_is_not_handed_an_account_that_another_identity_opens(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        """The address has passed to somebody else in their house."""
        user_id = make_person(database, workspace_id, password=None)
        link(database, provider, user_id, subject="the first Ana")
        assert problem_of(through(client, provider)) == "oidc_not_linked"

    def test_nobody_comes_in_whom_nobody_let_in(
        self, client: TestClient, provider: Provider, database: Database
    ) -> None:
        assert problem_of(through(client, provider)) == "oidc_not_invited"
        with database.session(SYSTEM) as session:
            assert identity.find_user(session, email=EMAIL) is None


class TestInvitation:
    """To an address that the provider has verified it is as good as its link, which was mailed to that address."""

    @pytest.fixture(autouse=True)
    def invited(self, client: TestClient, as_admin: dict[str, str]) -> str:
        body = {"email": "Ana@Example.com", "role": "reviewer"}
        answer = client.post("/v1/invitations", json=body, headers=as_admin)
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["invitation"]["id"] if "invitation" in answer.json() else answer.json()["id"]
        return found

    def test_lets_its_person_in_with_its_role(
        self, client: TestClient, provider: Provider, workspace_id: str, owner_engine: Engine
    ) -> None:
        through(client, provider)
        body = client.get("/v1/auth/session").json()
        assert (body["user"]["email"], body["workspace"]["id"], body["role"]) == (EMAIL, workspace_id, "reviewer")
        assert audited(owner_engine, workspace_id)[-2:] == ["invitation.accepted", "user.signed_in"]

    def test_is_used_up_by_it(
        self, client: TestClient, provider: Provider, as_admin: dict[str, str], workspace_id: str
    ) -> None:
        through(client, provider)
        client.cookies.clear()
        assert client.get("/v1/invitations", headers=as_admin).json()["data"] == []

    def test_is_for_no_other_address_and_for_none_that_was_not_verified(
        self, client: TestClient, provider: Provider
    ) -> None:
        provider.know("eve", email="eve@example.com", email_verified=True)
        assert problem_of(through(client, provider, "eve")) == "oidc_not_invited"
        provider.know("eve", email=EMAIL, email_verified=False)
        assert problem_of(through(client, provider, "eve")) == "oidc_email_unverified"

    def test_taken_back_it_lets_nobody_in(
        self, client: TestClient, provider: Provider, as_admin: dict[str, str], invited: str
    ) -> None:
        assert client.delete(f"/v1/invitations/{invited}", headers=as_admin).status_code == 200
        assert problem_of(through(client, provider)) == "oidc_not_invited"

    def test_expired_it_lets_nobody_in(self, client: TestClient, provider: Provider, owner_engine: Engine) -> None:
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            connection.execute(text("update invitations set expires_at = now()"))
        assert problem_of(through(client, provider)) == "oidc_not_invited"

    def test_brings_somebody_back_who_had_left_every_workspace(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            user_id = identity.create_user(session, email=EMAIL, name="Ana", password=None).id
        link(database, provider, user_id)
        through(client, provider)
        body = client.get("/v1/auth/session").json()
        assert (body["user"]["id"], body["workspace"]["id"]) == (user_id, workspace_id)


class TestAllowedDomain:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"oidc_auto_join_domains": "@Example.com, example.org"})

    def test_lets_somebody_new_in_with_the_role_that_is_set(
        self, client: TestClient, provider: Provider, workspace_id: str, owner_engine: Engine
    ) -> None:
        through(client, provider)
        body = client.get("/v1/auth/session").json()
        assert (body["user"]["email"], body["user"]["name"]) == (EMAIL, "Ana Lind")
        assert (body["workspace"]["id"], body["role"]) == (workspace_id, "viewer")
        assert audited(owner_engine, workspace_id) == ["member.joined_by_domain", "user.signed_in"]

    def test_and_the_second_time_they_are_known(
        self, client: TestClient, provider: Provider, workspace_id: str, owner_engine: Engine
    ) -> None:
        through(client, provider)
        first = client.get("/v1/auth/session").json()["user"]
        client.cookies.clear()
        through(client, provider)
        assert client.get("/v1/auth/session").json()["user"] == first
        assert audited(owner_engine, workspace_id).count("member.joined_by_domain") == 1

    @pytest.mark.parametrize("email", ["eve@evil.com", "eve@sub.example.com", "eve@notexample.com"])
    def test_is_the_whole_domain_and_no_other(
        self, client: TestClient, provider: Provider, workspace_id: str, email: str
    ) -> None:
        provider.know("eve", email=email, email_verified=True)
        assert problem_of(through(client, provider, "eve")) == "oidc_not_invited"

    @pytest.mark.parametrize("claims", [{"email_verified": False}, {}])
    def test_lets_in_no_address_that_was_not_verified(
        self, client: TestClient, provider: Provider, workspace_id: str, claims: dict[str, object]
    ) -> None:
        provider.know("eve", email="eve@example.com", **claims)
        assert problem_of(through(client, provider, "eve")) == "oidc_email_unverified"

    def test_who_joined_so_has_no_password_to_guess(
        self, client: TestClient, provider: Provider, workspace_id: str
    ) -> None:
        through(client, provider)
        assert client.get("/v1/profile").json()["has_password"] is False


class TestHostile:
    @pytest.fixture(autouse=True)
    def person(self, database: Database, workspace_id: str, provider: Provider) -> None:
        link(database, provider, make_person(database, workspace_id))

    def test_a_wrong_state(self, client: TestClient, provider: Provider) -> None:
        location = provider.consent(start(client), subject="ana")
        state = parse_qs(urlsplit(location).query)["state"][0]
        assert problem_of(come_back(client, location.replace(state, "x" * len(state)))) == "oidc_state_mismatch"

    def test_a_victim_cannot_be_signed_in_as_the_attacker(self, client: TestClient, provider: Provider) -> None:
        """The attacker stops before the last step, and has the victim's browser do it."""
        location = provider.consent(start(client), subject="ana")
        client.cookies.clear()
        assert problem_of(come_back(client, location)) == "oidc_state_mismatch"

    def test_a_replayed_answer(self, client: TestClient, provider: Provider) -> None:
        url = start(client)
        cookie = client.cookies["tailorbird_oidc"]
        location = provider.consent(url, subject="ana")
        assert come_back(client, location).headers["location"] == "/data"
        client.cookies.clear()
        client.cookies.set("tailorbird_oidc", cookie)
        assert problem_of(come_back(client, location)) == "oidc_flow_ended"

    def test_a_code_from_somewhere_else(self, client: TestClient, provider: Provider) -> None:
        location = provider.consent(start(client), subject="ana")
        code = parse_qs(urlsplit(location).query)["code"][0]
        client.cookies.clear()
        own = provider.consent(start(client), subject="ana")
        own_code = parse_qs(urlsplit(own).query)["code"][0]
        assert problem_of(come_back(client, own.replace(own_code, code))) == "oidc_refused"

    def test_a_forged_token(self, client: TestClient, provider: Provider) -> None:
        provider.forge = lambda found, claims: found.signed(claims | {"nonce": "another"})
        assert problem_of(through(client, provider)) == "oidc_refused"

    def test_a_refusal_at_the_provider(self, client: TestClient, provider: Provider) -> None:
        url = start(client)
        state = parse_qs(urlsplit(url).query)["state"][0]
        assert problem_of(come_back(client, f"{CALLBACK}?error=access_denied&state={state}")) == "oidc_declined"

    @pytest.mark.parametrize(
        "to",
        [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "data",
            "",
            "/\n/evil.example",
            "/\t/evil.example",
            "http:///evil.example",
        ],
    )
    def test_a_way_back_to_a_foreign_site(self, client: TestClient, to: str) -> None:
        answer = client.post("/v1/auth/oidc/start", json={"to": to}, headers=ORIGIN)
        assert code_of(answer) == (400, "foreign_address")

    def test_a_start_from_another_sites_page(self, client: TestClient) -> None:
        answer = client.post("/v1/auth/oidc/start", json={}, headers={"origin": "https://evil.example"})
        assert code_of(answer) == (403, "cross_site_request")


class TestLinking:
    @pytest.fixture
    def user_id(self, database: Database, workspace_id: str) -> str:
        return make_person(database, workspace_id)

    @pytest.fixture
    def browser(self, client: TestClient, user_id: str) -> TestClient:
        return signed_in(client)

    def begin(self, browser: TestClient, password: str | None = PASSWORD) -> Response:
        return browser.post("/v1/profile/identities", json={"password": password})

    def test_from_within_it_opens_the_account_from_then_on(
        self, browser: TestClient, provider: Provider, user_id: str, workspace_id: str, owner_engine: Engine
    ) -> None:
        before = browser.cookies["tailorbird_session"]
        answer = come_back(browser, provider.consent(self.begin(browser).json()["url"], subject="ana"))
        assert answer.headers["location"] == "/settings"
        assert browser.cookies["tailorbird_session"] != before
        assert [found["email"] for found in browser.get("/v1/profile").json()["identities"]] == [EMAIL]
        assert "user.identity_linked" in audited(owner_engine, workspace_id)
        browser.cookies.clear()
        through(browser, provider)
        assert browser.get("/v1/auth/session").json()["user"]["id"] == user_id

    def test_needs_the_password(self, browser: TestClient) -> None:
        for password in (None, "wrong password"):
            assert code_of(self.begin(browser, password)) == (400, "wrong_password")

    def test_ends_with_the_session_that_began_it(self, browser: TestClient, provider: Provider) -> None:
        location = provider.consent(self.begin(browser).json()["url"], subject="ana")
        browser.post("/v1/auth/sign_out")
        answer = come_back(browser, location)
        assert answer.headers["location"] == "/settings?problem=session_ended"

    def test_an_identity_signs_in_one_person(
        self, browser: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        link(database, provider, make_person(database, workspace_id, email="bo@example.com"))
        answer = come_back(browser, provider.consent(self.begin(browser).json()["url"], subject="ana"))
        assert answer.headers["location"] == "/settings?problem=identity_taken"

    def test_unlinked_it_opens_nothing(
        self, browser: TestClient, provider: Provider, database: Database, user_id: str
    ) -> None:
        link(database, provider, user_id)
        [found] = browser.get("/v1/profile").json()["identities"]
        assert browser.delete(f"/v1/profile/identities/{found['id']}").json()["deleted"] is True
        browser.cookies.clear()
        assert problem_of(through(browser, provider)) == "oidc_not_linked"

    def test_the_only_way_in_stays(
        self, client: TestClient, provider: Provider, database: Database, workspace_id: str
    ) -> None:
        link(database, provider, make_person(database, workspace_id, password=None))
        through(client, provider)
        token = client.get("/v1/auth/session").json()["csrf_token"]
        [found] = client.get("/v1/profile").json()["identities"]
        headers = ORIGIN | {"x-csrf-token": token}
        answer = client.delete(f"/v1/profile/identities/{found['id']}", headers=headers)
        assert code_of(answer) == (409, "only_way_in")


def test_without_a_provider_there_is_none(settings: Settings, database: Database) -> None:
    from api.main import create_app
    from tests.factories.backends import memory_backends

    bare = create_app(settings.model_copy(update={"oidc_issuer": ""}), database, memory_backends())
    client = TestClient(bare, base_url="http://127.0.0.1:8700")
    assert code_of(client.post("/v1/auth/oidc/start", json={}, headers=ORIGIN)) == (404, "oidc_not_configured")
    assert client.get("/v1/auth/options").json()["oidc_name"] is None


def test_a_member_of_two_workspaces_is_written_down_where_they_act(
    client: TestClient,
    provider: Provider,
    database: Database,
    workspace_id: str,
    other_workspace_id: str,
    owner_engine: Engine,
) -> None:
    user_id = make_person(database, workspace_id)
    with database.session(SYSTEM) as session:
        workspaces.add_member(session, workspace_id=other_workspace_id, user_id=user_id, role=Role.VIEWER)
    link(database, provider, user_id)
    through(client, provider)
    assert [audited(owner_engine, found) for found in (workspace_id, other_workspace_id)] == [["user.signed_in"], []]
