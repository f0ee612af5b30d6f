import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.conftest import key_headers, make_principal

pytestmark = pytest.mark.stack


class TestCreate:
    def test_the_secret_is_shown_once_and_works(self, client: TestClient, as_member: dict[str, str]) -> None:
        made = client.post("/v1/api_keys", headers=as_member, json={"name": "ci"}).json()
        assert made["key"].startswith("tb_live_")
        assert (made["name"], made["prefix"], made["last4"]) == ("ci", "tb_live_", made["key"][-4:])
        assert (made["role"], made["last_used_at"]) == ("member", None)
        listed = client.get("/v1/api_keys", headers={"authorization": f"Bearer {made['key']}"}).json()["data"]
        found = next(key for key in listed if key["id"] == made["id"])
        assert "key" not in found
        assert found["last_used_at"] is not None

    def test_a_copied_table_opens_nothing(
        self, client: TestClient, as_admin: dict[str, str], owner_engine: Engine
    ) -> None:
        secret = client.post("/v1/api_keys", headers=as_admin, json={"name": "ci"}).json()["key"]
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            everything = [
                str(connection.execute(text(f"select * from {table}")).all())
                for table in ("api_keys", "audit_events", "idempotency_keys")
            ]
        assert secret not in "".join(everything)

    def test_a_lesser_role_may_be_chosen(self, client: TestClient, as_member: dict[str, str]) -> None:
        made = client.post("/v1/api_keys", headers=as_member, json={"name": "ci", "role": "viewer"}).json()
        answer = client.get("/v1/auth/session", headers={"authorization": f"Bearer {made['key']}"})
        assert answer.json()["role"] == "viewer"

    def test_a_greater_role_may_not(self, client: TestClient, as_member: dict[str, str]) -> None:
        answer = client.post("/v1/api_keys", headers=as_member, json={"name": "ci", "role": "admin"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "role_too_high")

    @pytest.mark.parametrize("body", [{"name": ""}, {"name": "   "}, {"name": "a" * 101}, {}, {"name": "a", "x": 1}])
    def test_a_bad_body_is_refused(self, client: TestClient, as_admin: dict[str, str], body: dict[str, str]) -> None:
        assert client.post("/v1/api_keys", headers=as_admin, json=body).status_code == 400


class TestRevoke:
    def test_the_next_request_is_refused(self, client: TestClient, as_admin: dict[str, str]) -> None:
        made = client.post("/v1/api_keys", headers=as_admin, json={"name": "ci"}).json()
        answer = client.delete(f"/v1/api_keys/{made['id']}", headers=as_admin)
        assert answer.json() == {"id": made["id"], "object": "api_key", "deleted": True}
        refused = client.get("/v1/members", headers={"authorization": f"Bearer {made['key']}"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert client.delete(f"/v1/api_keys/{made['id']}", headers=as_admin).status_code == 404

    def test_a_member_revokes_their_own_and_nobody_elses(
        self, client: TestClient, as_admin: dict[str, str], as_member: dict[str, str]
    ) -> None:
        theirs = client.post("/v1/api_keys", headers=as_admin, json={"name": "theirs"}).json()["id"]
        own = client.post("/v1/api_keys", headers=as_member, json={"name": "own"}).json()["id"]
        refused = client.delete(f"/v1/api_keys/{theirs}", headers=as_member)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_your_key")
        assert client.delete(f"/v1/api_keys/{own}", headers=as_member).status_code == 200

    def test_both_are_audited(self, client: TestClient, as_admin: dict[str, str]) -> None:
        key_id = client.post("/v1/api_keys", headers=as_admin, json={"name": "ci"}).json()["id"]
        client.delete(f"/v1/api_keys/{key_id}", headers=as_admin)
        events = client.get("/v1/audit_events", headers=as_admin).json()["data"]
        assert [(event["action"], event["target_id"]) for event in events] == [
            ("api_key.revoked", key_id),
            ("api_key.created", key_id),
        ]


class TestTheMakerOfAKey:
    def test_demoted_takes_the_key_along(
        self, client: TestClient, database: Database, workspace_id: str, principal: Principal
    ) -> None:
        maker = make_principal(database, workspace_id, Role.ADMIN)
        headers = key_headers(database, maker)
        with database.session(SYSTEM) as session:
            workspaces.change_role(session, workspace_id=workspace_id, user_id=maker.user_id, role=Role.VIEWER)
        assert client.get("/v1/auth/session", headers=headers).json()["role"] == "viewer"

    def test_gone_takes_the_key_along(
        self, client: TestClient, database: Database, workspace_id: str, principal: Principal
    ) -> None:
        maker = make_principal(database, workspace_id, Role.MEMBER)
        headers = key_headers(database, maker)
        with database.session(SYSTEM) as session:
            workspaces.remove_member(session, workspace_id=workspace_id, user_id=maker.user_id)
        assert client.get("/v1/auth/session", headers=headers).status_code == 401


def test_pages_follow_each_other(client: TestClient, as_admin: dict[str, str]) -> None:
    for number in range(3):
        client.post("/v1/api_keys", headers=as_admin, json={"name": f"k{number}"})
    first = client.get("/v1/api_keys?limit=2", headers=as_admin).json()
    assert [key["name"] for key in first["data"]] == ["k2", "k1"]
    assert (first["has_more"], first["first_id"]) == (True, first["data"][0]["id"])
    second = client.get(f"/v1/api_keys?limit=2&after={first['last_id']}", headers=as_admin).json()
    assert [key["name"] for key in second["data"]] == ["k0", "test"]
    assert second["has_more"] is False


@pytest.mark.parametrize("limit", ["0", "101", "x"])
def test_a_bad_limit_is_refused(client: TestClient, as_admin: dict[str, str], limit: str) -> None:
    answer = client.get(f"/v1/api_keys?limit={limit}", headers=as_admin)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")
