import pytest
from fastapi.testclient import TestClient

from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.roles import Role
from tests.api.browsers import code_of
from tests.conftest import key_headers, make_principal

pytestmark = pytest.mark.stack

Headers = dict[str, str]


def make_account(client: TestClient, headers: Headers, **fields: str) -> str:
    made = client.post("/v1/service_accounts", headers=headers, json={"name": "nightly"} | fields)
    assert made.status_code == 200, made.text
    found: str = made.json()["id"]
    return found


def key_of(client: TestClient, headers: Headers, account_id: str, **fields: object) -> Headers:
    body = {"name": "nightly key", "service_account_id": account_id} | fields
    made = client.post("/v1/api_keys", headers=headers, json=body)
    assert made.status_code == 200, made.text
    return {"authorization": f"Bearer {made.json()['key']}"}


class TestCreate:
    def test_its_key_acts_for_it(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin, role="member")
        as_account = key_of(client, as_admin, account_id)
        session = client.get("/v1/auth/session", headers=as_account).json()
        assert session["user"] == {"id": account_id, "email": "", "name": "nightly (nightly key)"}
        assert session["role"] == "member"
        assert "members:manage" not in session["permissions"]

    def test_it_is_in_the_list_and_in_the_log(self, client: TestClient, as_admin: Headers, as_viewer: Headers) -> None:
        account_id = make_account(client, as_admin)
        listed = client.get("/v1/service_accounts", headers=as_viewer).json()["data"]
        assert [(found["id"], found["role"]) for found in listed] == [(account_id, "member")]
        assert client.get(f"/v1/service_accounts/{account_id}", headers=as_viewer).json() == listed[0]
        event = client.get("/v1/audit_events", headers=as_admin).json()["data"][0]
        assert (event["action"], event["details"]) == (
            "service_account.created",
            {"name": "nightly", "role": "member"},
        )

    def test_it_is_no_person(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin)
        assert account_id not in client.get("/v1/members", headers=as_admin).text
        assert client.patch(f"/v1/members/{account_id}", headers=as_admin, json={"role": "viewer"}).status_code == 404

    @pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": "a", "role": "owner"}, {"name": "a", "x": 1}])
    def test_a_bad_body_is_refused(self, client: TestClient, as_admin: Headers, body: dict[str, str]) -> None:
        assert client.post("/v1/service_accounts", headers=as_admin, json=body).status_code == 400


class TestKeys:
    def test_they_outlast_whoever_made_them(
        self, client: TestClient, database: Database, workspace_id: str, as_admin: Headers
    ) -> None:
        maker = make_principal(database, workspace_id, Role.ADMIN)
        as_maker = key_headers(database, maker)
        as_account = key_of(client, as_maker, make_account(client, as_maker))
        with database.session(SYSTEM) as session:
            workspaces.remove_member(session, workspace_id=workspace_id, user_id=maker.user_id)
        assert client.get("/v1/models", headers=as_maker).status_code == 401
        assert client.get("/v1/models", headers=as_account).status_code == 200

    def test_a_member_makes_none_for_an_account(
        self, client: TestClient, as_admin: Headers, as_member: Headers
    ) -> None:
        body = {"name": "mine", "service_account_id": make_account(client, as_admin)}
        assert code_of(client.post("/v1/api_keys", headers=as_member, json=body)) == (403, "permission_denied")

    def test_one_has_at_most_the_accounts_role(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin, role="viewer")
        body = {"name": "k", "service_account_id": account_id, "role": "member"}
        assert code_of(client.post("/v1/api_keys", headers=as_admin, json=body)) == (403, "role_too_high")

    def test_the_account_makes_and_rotates_its_own(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin)
        as_account = key_of(client, as_admin, account_id)
        made = client.post("/v1/api_keys", headers=as_account, json={"name": "second"}).json()
        assert (made["service_account_id"], made["user_id"], made["created_by"]) == (account_id, None, account_id)
        rotated = client.post(f"/v1/api_keys/{made['id']}/rotate", headers=as_account, json={})
        assert rotated.status_code == 200

    def test_a_smaller_role_counts_at_once(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin, role="admin")
        as_account = key_of(client, as_admin, account_id)
        assert client.get("/v1/audit_events", headers=as_account).status_code == 200
        client.patch(f"/v1/service_accounts/{account_id}", headers=as_admin, json={"role": "viewer"})
        assert client.get("/v1/audit_events", headers=as_account).status_code == 403


class TestDelete:
    def test_its_keys_go_with_it(self, client: TestClient, as_admin: Headers) -> None:
        account_id = make_account(client, as_admin)
        as_account = key_of(client, as_admin, account_id)
        answer = client.delete(f"/v1/service_accounts/{account_id}", headers=as_admin)
        assert answer.json() == {"id": account_id, "object": "service_account", "deleted": True}
        assert code_of(client.get("/v1/models", headers=as_account)) == (401, "invalid_api_key")
        assert client.get("/v1/service_accounts", headers=as_admin).json()["data"] == []
        assert client.delete(f"/v1/service_accounts/{account_id}", headers=as_admin).status_code == 404
        assert "service_account.deleted" in client.get("/v1/audit_events", headers=as_admin).text
