import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, event, text
from starlette.types import Message, Receive, Scope, Send

from core.backends.mail import RecordingMailer
from core.backends.registry import Backends
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.resets.service import MAX_ASKED
from core.identity.sign_in import MAX_ATTEMPTS
from core.workspaces import service as workspaces
from core.workspaces.roles import Role
from tests.factories.people import (
    EMAIL,
    ORIGIN,
    OTHER_PASSWORD,
    PASSWORD,
    audited,
    code_of,
    make_person,
    sign_in,
    signed_in,
)

pytestmark = pytest.mark.stack


@pytest.fixture
def user_id(database: Database, workspace_id: str) -> str:
    return make_person(database, workspace_id)


@pytest.fixture
def mailer(backends: Backends) -> RecordingMailer:
    assert isinstance(backends.mail, RecordingMailer)
    return backends.mail


def ask(client: TestClient, email: str = EMAIL) -> Response:
    return client.post("/v1/auth/password_reset", json={"email": email}, headers=ORIGIN)


def finish(client: TestClient, token: str, password: str = OTHER_PASSWORD) -> Response:
    body = {"token": token, "password": password}
    return client.post("/v1/auth/password_reset/finish", json=body, headers=ORIGIN)


def token_in(words: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:8700/reset-password#(\S+)", words)
    assert found, words
    return found[1]


class TestByMail:
    def test_the_link_sets_a_new_password_once(
        self, client: TestClient, user_id: str, mailer: RecordingMailer, workspace_id: str, owner_engine: Engine
    ) -> None:
        ask(client, "Ana@Example.com")
        [mail] = mailer.sent
        assert mail.to == EMAIL
        token = token_in(mail.text)
        assert finish(client, token).json() == {"object": "password_reset", "changed": True, "email": EMAIL}
        assert sign_in(client).status_code == 401
        assert sign_in(client, OTHER_PASSWORD).status_code == 200
        assert code_of(finish(client, token)) == (400, "reset_link_invalid")
        assert audited(owner_engine, workspace_id) == ["user.reset_asked", "user.password_reset", "user.signed_in"]

    def test_it_ends_every_session_and_every_other_link(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        signed_in(client)
        ask(client)
        ask(client)
        older, newer = (token_in(mail.text) for mail in mailer.sent)
        assert finish(client, newer).status_code == 200
        assert code_of(client.get("/v1/auth/session")) == (401, "session_ended")
        assert code_of(finish(client, older)) == (400, "reset_link_invalid")

    def test_it_is_good_for_half_an_hour(
        self, client: TestClient, user_id: str, mailer: RecordingMailer, owner_engine: Engine
    ) -> None:
        ask(client)
        with owner_engine.begin() as connection:
            lasts_s = connection.scalar(text("select extract(epoch from expires_at - created_at) from password_resets"))
            connection.execute(text("update password_resets set expires_at = now()"))
        assert lasts_s == 1800
        assert code_of(finish(client, token_in(mailer.sent[0].text))) == (400, "reset_link_invalid")

    def test_a_bad_password_leaves_the_link_as_it_was(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        ask(client)
        token = token_in(mailer.sent[0].text)
        assert code_of(finish(client, token, "short")) == (400, "password_length")
        assert finish(client, token).status_code == 200

    def test_it_opens_the_account_that_guesses_have_locked(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        for _ in range(MAX_ATTEMPTS):
            sign_in(client, "wrong password")
        ask(client)
        finish(client, token_in(mailer.sent[0].text))
        assert sign_in(client, OTHER_PASSWORD).status_code == 200

    def test_a_changed_password_ends_the_links_of_before(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        ask(client)
        body = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
        assert signed_in(client).post("/v1/auth/password", json=body).status_code == 200
        assert code_of(finish(client, token_in(mailer.sent[0].text))) == (400, "reset_link_invalid")

    def test_a_copied_table_opens_nothing(
        self, client: TestClient, user_id: str, mailer: RecordingMailer, owner_engine: Engine
    ) -> None:
        ask(client)
        with owner_engine.begin() as connection:
            kept = str(connection.execute(text("select * from password_resets")).all())
        assert token_in(mailer.sent[0].text) not in kept

    def test_another_sites_page_can_neither_ask_nor_finish(self, client: TestClient, user_id: str) -> None:
        for path, body in (("", {"email": EMAIL}), ("/finish", {"token": "t", "password": OTHER_PASSWORD})):
            answer = client.post(
                f"/v1/auth/password_reset{path}", json=body, headers={"origin": "https://evil.example"}
            )
            assert code_of(answer) == (403, "cross_site_request")


class TestSecrecy:
    def test_an_address_that_nobody_has_gets_the_same_answer_and_no_mail(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        known, unknown = ask(client), ask(client, "bob@example.com")
        assert (known.status_code, known.json()) == (unknown.status_code, unknown.json()) == (200, known.json())
        assert [mail.to for mail in mailer.sent] == [EMAIL]

    def test_what_is_done_before_the_answer_is_the_same_for_both(
        self, app: FastAPI, database: Database, user_id: str
    ) -> None:
        done: list[str] = []

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def noted(message: Message) -> None:
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    done.append("answered")

            await app(scope, receive, noted)

        def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            done.append(statement)

        client = TestClient(watched, base_url="http://127.0.0.1:8700")
        event.listen(database.engine, "before_cursor_execute", note)
        try:
            ask(client, "bob@example.com")
            unknown = done[: done.index("answered")]
            done.clear()
            ask(client)
        finally:
            event.remove(database.engine, "before_cursor_execute", note)
        assert done[: done.index("answered")] == unknown
        assert len(unknown) > 3
        # what only a known address is worth comes after the answer
        assert len(done) > len(unknown) + 1

    @pytest.mark.parametrize("email", [EMAIL, "bob@example.com"])
    def test_nobodys_mailbox_is_flooded(
        self, client: TestClient, user_id: str, mailer: RecordingMailer, email: str
    ) -> None:
        for _ in range(MAX_ASKED):
            assert ask(client, email).status_code == 200
        refused = ask(client, email)
        assert code_of(refused) == (429, "too_many_resets")
        assert int(refused.headers["retry-after"]) > 0
        assert len(mailer.sent) == (MAX_ASKED if email == EMAIL else 0)

    def test_where_no_mail_is_sent_it_is_said_of_every_address(
        self, client: TestClient, user_id: str, mailer: RecordingMailer
    ) -> None:
        mailer.is_configured = False
        assert ask(client).json() == ask(client, "bob@example.com").json()
        assert code_of(ask(client)) == (409, "mail_not_configured")


class TestByAnAdmin:
    """A link to pass on: whoever holds it can become that person."""

    def make(self, browser: TestClient, user_id: str, path: str = "members") -> Response:
        return browser.post(f"/v1/{path}/{user_id}/password_reset", json={})

    @pytest.fixture
    def admin(self, client: TestClient, database: Database, workspace_id: str) -> TestClient:
        make_person(database, workspace_id, email="boss@example.com", role=Role.ADMIN)
        return signed_in(client, email="boss@example.com")

    @pytest.fixture
    def operator_browser(self, admin: TestClient, database: Database) -> TestClient:
        with database.session(SYSTEM) as session:
            boss = identity.find_user(session, email="boss@example.com")
            assert boss is not None
            identity.make_installation_admin(session, user_id=boss.id)
        return signed_in(admin, email="boss@example.com")

    def test_sets_a_members_password_and_is_audited(
        self, admin: TestClient, user_id: str, workspace_id: str, owner_engine: Engine
    ) -> None:
        made = self.make(admin, user_id).json()
        assert finish(admin, token_in(made["url"])).status_code == 200
        assert sign_in(admin, OTHER_PASSWORD).status_code == 200
        assert audited(owner_engine, workspace_id)[1] == "user.reset_link_made"

    def test_never_of_who_runs_the_installation(self, admin: TestClient, user_id: str, database: Database) -> None:
        with database.session(SYSTEM) as session:
            identity.make_installation_admin(session, user_id=user_id)
        assert code_of(self.make(admin, user_id)) == (403, "person_above_you")

    def test_never_of_who_belongs_to_a_workspace_that_is_not_theirs(
        self, admin: TestClient, user_id: str, database: Database, other_workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            workspaces.add_member(session, workspace_id=other_workspace_id, user_id=user_id, role=Role.VIEWER)
        assert code_of(self.make(admin, user_id)) == (403, "person_above_you")

    def test_ends_when_the_person_joins_a_workspace_that_is_not_the_makers(
        self, admin: TestClient, user_id: str, database: Database, other_workspace_id: str
    ) -> None:
        token = token_in(self.make(admin, user_id).json()["url"])
        with database.session(SYSTEM) as session:
            workspaces.add_member(session, workspace_id=other_workspace_id, user_id=user_id, role=Role.VIEWER)
        assert code_of(finish(admin, token)) == (400, "reset_link_invalid")

    def test_ends_when_the_person_may_do_more(
        self, admin: TestClient, user_id: str, database: Database, workspace_id: str
    ) -> None:
        token = token_in(self.make(admin, user_id).json()["url"])
        with database.session(SYSTEM) as session:
            workspaces.change_role(session, workspace_id=workspace_id, user_id=user_id, role=Role.ADMIN)
        assert code_of(finish(admin, token)) == (400, "reset_link_invalid")

    def test_a_stranger_is_no_member(self, admin: TestClient, database: Database, other_workspace_id: str) -> None:
        stranger = make_person(database, other_workspace_id, email="eve@example.com")
        assert code_of(self.make(admin, stranger)) == (404, "member_not_found")

    def test_members_make_none(self, client: TestClient, user_id: str) -> None:
        assert code_of(self.make(signed_in(client), user_id)) == (403, "permission_denied")

    def test_a_key_is_no_person(self, client: TestClient, as_admin: dict[str, str], user_id: str) -> None:
        answer = client.post(f"/v1/members/{user_id}/password_reset", headers=as_admin, json={})
        assert code_of(answer) == (403, "browser_only")

    def test_who_runs_the_installation_makes_one_for_anybody(
        self, operator_browser: TestClient, database: Database, other_workspace_id: str, owner_engine: Engine
    ) -> None:
        stranger = make_person(database, other_workspace_id, email="eve@example.com")
        made = self.make(operator_browser, stranger, "admin/users")
        assert finish(operator_browser, token_in(made.json()["url"])).status_code == 200
        assert audited(owner_engine, other_workspace_id) == ["user.reset_link_made", "user.password_reset"]
