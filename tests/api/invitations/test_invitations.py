from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from api.main import create_app
from core.backends.mail import RecordingMailer
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces import service as workspaces
from core.workspaces.roles import Role
from tests.api.browsers import ORIGIN, Browser, code_of

pytestmark = pytest.mark.stack

Headers = dict[str, str]
EMAIL = "bo@example.com"
PASSWORD = "a long enough password"


@pytest.fixture
def mailer(backends: Backends) -> RecordingMailer:
    assert isinstance(backends.mail, RecordingMailer)
    return backends.mail


def invite(client: TestClient, headers: Headers, **fields: str) -> dict[str, Any]:
    answer = client.post("/v1/invitations", headers=headers, json={"email": EMAIL, "role": "member"} | fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def token_of(sent: dict[str, Any]) -> str:
    link: str = sent["link"]
    return link.partition("/join?token=")[2]


def accept(client: TestClient, token: str, **fields: str) -> Any:  # noqa: ANN401 - httpx's own
    body = {"token": token, "name": "Bo", "password": PASSWORD} | fields
    return client.post("/v1/invitations/accept", headers=ORIGIN, json=body)


def sign_in(client: TestClient, password: str = PASSWORD) -> int:
    body = {"email": EMAIL, "password": password}
    return client.post("/v1/auth/sign_in", headers=ORIGIN, json=body).status_code


def make_person(database: Database, workspace_id: str, email: str = EMAIL) -> str:
    with database.session(SYSTEM) as session:
        user = identity.create_user(session, email=email, name="Bo", password=PASSWORD)
        workspaces.add_member(session, workspace_id=workspace_id, user_id=user.id, role=Role.ADMIN)
    return user.id


class TestInvite:
    def test_seats_that_are_taken_or_offered_are_so_many_and_no_more(
        self, settings: Settings, database: Database, backends: Backends, as_admin: Headers
    ) -> None:
        few = settings.model_copy(update={"max_members_per_workspace": 2})
        with TestClient(create_app(few, database, backends)) as client:
            sent = invite(client, as_admin)
            body = {"email": "one.more@example.com", "role": "member"}
            refused = client.post("/v1/invitations", headers=as_admin, json=body)
            assert code_of(refused) == (409, "too_many_members")
            client.delete(f"/v1/invitations/{sent['id']}", headers=as_admin)
            invite(client, as_admin, email="one.more@example.com")

    def test_the_link_is_shown_once_and_mailed(
        self, client: TestClient, as_admin: Headers, mailer: RecordingMailer, settings: Settings
    ) -> None:
        sent = invite(client, as_admin, email=" Bo@Example.com ")
        assert (sent["email"], sent["role"], sent["is_mailed"], sent["is_expired"]) == (EMAIL, "member", True, False)
        assert sent["link"].startswith(f"{settings.public_url}/join?token=")
        assert 0 < sent["expires_at"] - sent["created_at"] <= 7 * 24 * 3600
        (mail,) = mailer.sent
        assert mail.to == EMAIL
        assert "Acme" in mail.subject
        assert sent["link"] in mail.text
        (listed,) = client.get("/v1/invitations", headers=as_admin).json()["data"]
        assert "link" not in listed
        assert listed["id"] == sent["id"]

    def test_without_a_mail_server_the_link_is_passed_on(
        self, client: TestClient, as_admin: Headers, mailer: RecordingMailer
    ) -> None:
        mailer.is_configured = False
        assert invite(client, as_admin)["is_mailed"] is False

    def test_a_copied_table_opens_nothing(self, client: TestClient, as_admin: Headers, owner_engine: Engine) -> None:
        token = token_of(invite(client, as_admin))
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            everything = [
                str(connection.execute(text(f"select * from {table}")).all())
                for table in ("invitations", "audit_events", "idempotency_keys")
            ]
        assert token not in "".join(everything)

    def test_whether_the_address_has_an_account_changes_nothing_in_the_answer(
        self, client: TestClient, database: Database, as_admin: Headers, other_workspace_id: str
    ) -> None:
        make_person(database, other_workspace_id, "known@example.com")
        changing = {"id", "email", "link", "created_at", "expires_at"}
        known, unknown = (
            {name: value for name, value in invite(client, as_admin, email=email).items() if name not in changing}
            for email in ("known@example.com", "nobody@example.com")
        )
        assert known == unknown

    def test_the_same_address_is_invited_once(self, client: TestClient, as_admin: Headers) -> None:
        invite(client, as_admin)
        again = client.post("/v1/invitations", headers=as_admin, json={"email": EMAIL})
        assert code_of(again) == (409, "already_invited")

    def test_a_member_is_not_invited(
        self, client: TestClient, database: Database, as_admin: Headers, workspace_id: str
    ) -> None:
        make_person(database, workspace_id)
        answer = client.post("/v1/invitations", headers=as_admin, json={"email": EMAIL})
        assert code_of(answer) == (409, "already_member")

    @pytest.mark.parametrize(("change", "param"), [({"email": "bo"}, "email"), ({"role": "owner"}, "role")])
    def test_a_bad_field_is_named(
        self, client: TestClient, as_admin: Headers, change: dict[str, str], param: str
    ) -> None:
        answer = client.post("/v1/invitations", headers=as_admin, json={"email": EMAIL} | change)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    def test_all_that_happens_to_one_is_audited(self, client: TestClient, as_admin: Headers) -> None:
        first = invite(client, as_admin)["id"]
        client.post(f"/v1/invitations/{first}/resend", headers=as_admin)
        client.delete(f"/v1/invitations/{first}", headers=as_admin)
        accept(client, token_of(invite(client, as_admin)))
        client.cookies.clear()
        events = client.get("/v1/audit_events", headers=as_admin).json()["data"]
        assert [event["action"].removeprefix("invitation.") for event in reversed(events)] == [
            *("created", "resent", "revoked", "created", "accepted")
        ]


class TestLookUp:
    def test_the_link_says_who_invites_to_what(self, client: TestClient, as_admin: Headers) -> None:
        token = token_of(invite(client, as_admin, role="viewer"))
        offer = client.post("/v1/invitations/lookup", json={"token": token}).json()
        assert (offer["workspace_name"], offer["email"], offer["role"]) == ("Acme", EMAIL, "viewer")

    def test_a_link_that_is_over_opens_nothing_and_never_says_why(
        self, client: TestClient, as_admin: Headers, owner_engine: Engine
    ) -> None:
        revoked = invite(client, as_admin, email="a@example.com")
        client.delete(f"/v1/invitations/{revoked['id']}", headers=as_admin)
        replaced = invite(client, as_admin, email="b@example.com")
        client.post(f"/v1/invitations/{replaced['id']}/resend", headers=as_admin)
        expired = invite(client, as_admin, email="c@example.com")
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            connection.execute(text("update invitations set expires_at = now() where email = 'c@example.com'"))
        tokens = ["never-was", *map(token_of, (revoked, replaced, expired))]
        answers = [client.post("/v1/invitations/lookup", json={"token": token}) for token in tokens]
        assert {code_of(answer) for answer in answers} == {(404, "invitation_not_valid")}
        assert len({answer.text for answer in answers}) == 1
        assert [accept(client, token).status_code for token in tokens] == [404] * 4

    def test_an_expired_one_is_listed_and_works_again_once_it_is_resent(
        self, client: TestClient, as_admin: Headers, owner_engine: Engine, mailer: RecordingMailer
    ) -> None:
        sent = invite(client, as_admin)
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            connection.execute(text("update invitations set expires_at = now() - interval '1 day'"))
        assert client.get("/v1/invitations", headers=as_admin).json()["data"][0]["is_expired"] is True
        again = client.post(f"/v1/invitations/{sent['id']}/resend", headers=as_admin).json()
        assert again["is_expired"] is False
        assert again["link"] != sent["link"]
        assert again["link"] in mailer.sent[-1].text
        assert accept(client, token_of(again)).status_code == 200


class TestAcceptAsNew:
    def test_the_person_is_in_and_signed_in(self, client: TestClient, as_admin: Headers, workspace_id: str) -> None:
        answer = accept(client, token_of(invite(client, as_admin)))
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert (body["user"]["email"], body["user"]["name"], body["role"]) == (EMAIL, "Bo", "member")
        assert body["workspace"]["id"] == workspace_id
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert client.get("/v1/auth/session").json() == body
        assert sign_in(client) == 200

    def test_a_link_works_once(self, client: TestClient, as_admin: Headers) -> None:
        token = token_of(invite(client, as_admin))
        accept(client, token)
        assert code_of(accept(client, token)) == (404, "invitation_not_valid")

    def test_nobody_sets_the_password_of_an_account(
        self, client: TestClient, database: Database, as_admin: Headers, other_workspace_id: str
    ) -> None:
        make_person(database, other_workspace_id)
        token = token_of(invite(client, as_admin))
        refused = accept(client, token, password="the inviters password")
        assert code_of(refused) == (409, "sign_in_to_accept")
        assert "set-cookie" not in refused.headers
        assert sign_in(client, "the inviters password") == 401
        assert client.post("/v1/invitations/lookup", json={"token": token}).status_code == 200

    def test_a_short_password_is_refused_and_the_link_stays_good(self, client: TestClient, as_admin: Headers) -> None:
        token = token_of(invite(client, as_admin))
        assert code_of(accept(client, token, password="short")) == (400, "password_length")
        assert accept(client, token).status_code == 200

    def test_another_sites_page_cannot(self, client: TestClient, as_admin: Headers) -> None:
        body = {"token": token_of(invite(client, as_admin)), "name": "Bo", "password": PASSWORD}
        answer = client.post("/v1/invitations/accept", headers={"origin": "https://evil.example"}, json=body)
        assert code_of(answer) == (403, "cross_site_request")

    def test_an_archived_workspace_takes_nobody_in(
        self, client: TestClient, as_admin: Headers, owner_engine: Engine
    ) -> None:
        token = token_of(invite(client, as_admin))
        with owner_engine.begin() as connection:
            connection.execute(text("update workspaces set archived_at = now()"))
        assert code_of(accept(client, token)) == (404, "invitation_not_valid")


class TestJoin:
    @pytest.fixture
    def bo(self, client: TestClient, settings: Settings, database: Database, other_workspace_id: str) -> Browser:
        return Browser(client, settings, database, make_person(database, other_workspace_id))

    def test_who_is_signed_in_takes_the_seat_and_looks_at_it(
        self, client: TestClient, bo: Browser, as_admin: Headers, workspace_id: str
    ) -> None:
        token = token_of(invite(client, as_admin, role="reviewer"))
        before = bo.headers["cookie"]
        joined = bo.post("/v1/invitations/join", {"token": token}).json()
        assert (joined["workspace"]["id"], joined["role"]) == (workspace_id, "reviewer")
        assert len(joined["workspaces"]) == 2
        # who may do more than before goes on under another session
        assert bo.headers["cookie"] != before
        assert code_of(client.get("/v1/auth/session", headers={"cookie": before})) == (401, "session_ended")
        assert bo.get("/v1/auth/session").json()["workspace"]["id"] == workspace_id
        assert code_of(bo.post("/v1/invitations/join", {"token": token})) == (404, "invitation_not_valid")

    def test_an_invitation_of_somebody_else_is_not_for_them(
        self, client: TestClient, bo: Browser, as_admin: Headers
    ) -> None:
        token = token_of(invite(client, as_admin, email="cy@example.com"))
        assert code_of(bo.post("/v1/invitations/join", {"token": token})) == (403, "invitation_for_another")
        assert client.post("/v1/invitations/lookup", json={"token": token}).status_code == 200

    def test_a_key_joins_nothing(self, client: TestClient, as_admin: Headers) -> None:
        body = {"token": token_of(invite(client, as_admin))}
        assert code_of(client.post("/v1/invitations/join", headers=as_admin, json=body)) == (403, "browser_only")


class TestOnTheWayIn:
    """Whoever belongs to no workspace could not sign in to accept an invitation to one."""

    @pytest.fixture(autouse=True)
    def somebody_who_left(self, database: Database) -> None:
        with database.session(SYSTEM) as session:
            identity.create_user(session, email=EMAIL, name="Bo", password=PASSWORD)

    def come(self, client: TestClient, **fields: str) -> Any:  # noqa: ANN401 - httpx's own
        body = {"email": EMAIL, "password": PASSWORD} | fields
        return client.post("/v1/auth/sign_in", headers=ORIGIN, json=body)

    def test_the_seat_is_taken_with_the_sign_in(self, client: TestClient, as_admin: Headers, workspace_id: str) -> None:
        assert code_of(self.come(client)) == (403, "no_workspace")
        token = token_of(invite(client, as_admin, role="reviewer"))
        session = self.come(client, invitation=token).json()
        assert (session["workspace"]["id"], session["role"]) == (workspace_id, "reviewer")
        assert client.get("/v1/auth/session").json() == session
        client.cookies.clear()
        actions = [event["action"] for event in client.get("/v1/audit_events", headers=as_admin).json()["data"]]
        assert actions[:2] == ["user.signed_in", "invitation.accepted"]

    def test_a_wrong_password_takes_no_seat(self, client: TestClient, as_admin: Headers) -> None:
        token = token_of(invite(client, as_admin))
        assert code_of(self.come(client, invitation=token, password="wrong")) == (401, "sign_in_failed")
        assert client.post("/v1/invitations/lookup", json={"token": token}).status_code == 200

    def test_an_invitation_of_somebody_else_opens_no_session(self, client: TestClient, as_admin: Headers) -> None:
        token = token_of(invite(client, as_admin, email="cy@example.com"))
        answer = self.come(client, invitation=token)
        assert code_of(answer) == (403, "invitation_for_another")
        assert "set-cookie" not in answer.headers
