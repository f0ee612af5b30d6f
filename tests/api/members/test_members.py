import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack

NEW = {"email": "Bo@example.com", "name": "Bo", "role": "member", "password": "a long enough password"}


def create(client: TestClient, headers: dict[str, str], **changes: str) -> Response:
    return client.post("/v1/members", headers=headers, json=NEW | changes)


def sign_in(client: TestClient, password: str) -> int:
    return client.post("/v1/auth/sign_in", json={"email": NEW["email"], "password": password}).status_code


class TestCreate:
    def test_the_person_can_sign_in(self, client: TestClient, as_admin: dict[str, str]) -> None:
        made = create(client, as_admin)
        assert made.status_code == 200, made.text
        assert made.json()["email"] == "bo@example.com"
        assert "password" not in made.text
        assert sign_in(client, NEW["password"]) == 200

    def test_an_address_in_use_is_refused(self, client: TestClient, as_admin: dict[str, str]) -> None:
        create(client, as_admin)
        answer = create(client, as_admin)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "email_taken")

    def test_an_admin_cannot_take_over_somebody_of_another_workspace(
        self, client: TestClient, as_admin: dict[str, str], as_stranger: dict[str, str]
    ) -> None:
        create(client, as_admin)
        assert create(client, as_stranger, password="the strangers password").status_code == 409
        assert sign_in(client, "the strangers password") == 401

    def test_who_was_removed_can_come_back_with_a_new_password(
        self, client: TestClient, as_admin: dict[str, str]
    ) -> None:
        user_id = create(client, as_admin).json()["id"]
        client.delete(f"/v1/members/{user_id}", headers=as_admin)
        assert create(client, as_admin, password="another long password").json()["id"] == user_id
        assert sign_in(client, "another long password") == 200

    @pytest.mark.parametrize(
        ("change", "param"),
        [({"email": "bo"}, "email"), ({"role": "owner"}, "role"), ({"password": "short"}, "password")],
    )
    def test_a_bad_field_is_named(
        self, client: TestClient, as_admin: dict[str, str], change: dict[str, str], param: str
    ) -> None:
        answer = create(client, as_admin, **change)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    def test_it_is_audited_without_the_password(self, client: TestClient, as_admin: dict[str, str]) -> None:
        create(client, as_admin)
        answer = client.get("/v1/audit_events?action=member.added", headers=as_admin)
        assert answer.json()["data"][0]["details"] == {"email": "bo@example.com", "role": "member"}


class TestChange:
    def test_a_new_role_counts_at_once(self, client: TestClient, as_admin: dict[str, str]) -> None:
        user_id = create(client, as_admin).json()["id"]
        answer = client.patch(f"/v1/members/{user_id}", headers=as_admin, json={"role": "viewer"})
        assert answer.json()["role"] == "viewer"

    def test_the_last_admin_stays_one(self, client: TestClient, principal: Principal, as_admin: dict[str, str]) -> None:
        url = f"/v1/members/{principal.user_id}"
        for answer in (
            client.patch(url, headers=as_admin, json={"role": "viewer"}),
            client.delete(url, headers=as_admin),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "last_admin")


class TestRemove:
    def test_the_persons_browsers_get_nothing_more(
        self, client: TestClient, database: Database, as_admin: dict[str, str]
    ) -> None:
        user_id = create(client, as_admin).json()["id"]
        with database.session(SYSTEM) as session:
            token = identity.open_session(session, user_id=user_id, max_s=3600).token
        client.delete(f"/v1/members/{user_id}", headers=as_admin)
        answer = client.get("/v1/members", headers={"cookie": f"tailorbird_session={token}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "no_workspace")

    def test_all_members_may_see_the_list(
        self, client: TestClient, as_admin: dict[str, str], as_viewer: dict[str, str]
    ) -> None:
        assert len(client.get("/v1/members", headers=as_viewer).json()["data"]) == 2
