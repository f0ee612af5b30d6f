"""A new secret is a key in hand: nobody gets more by it than they could make for themselves."""

import time
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.workspaces.roles import Role
from tests.api.callers import bearer
from tests.conftest import Headers, key_headers, make_principal

pytestmark = pytest.mark.stack


def make(client: TestClient, headers: Headers, **fields: object) -> tuple[str, Headers]:
    made = client.post("/v1/api_keys", headers=headers, json={"name": "ci"} | fields)
    assert made.status_code == 200, made.text
    return made.json()["id"], bearer(made.json()["key"])


def rotate(client: TestClient, headers: Headers, key_id: str) -> Response:
    return client.post(f"/v1/api_keys/{key_id}/rotate", headers=headers, json={"overlap_s": 0})


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_an_admin_does_not_get_the_secret_of_another_persons_key(
    client: TestClient, as_admin: Headers, as_member: Headers
) -> None:
    key_id, secret = make(client, as_member)
    assert code_of(rotate(client, as_admin, key_id)) == (403, "not_your_key")
    assert client.get("/v1/files", headers=secret).status_code == 200
    # what an admin needs is to end it
    assert client.delete(f"/v1/api_keys/{key_id}", headers=as_admin).status_code == 200


def test_the_admin_of_a_workspace_does_not_become_who_runs_the_installation(
    client: TestClient, database: Database, workspace_id: str, as_admin: Headers
) -> None:
    above = make_principal(database, workspace_id, Role.ADMIN)
    with database.session(SYSTEM) as session:
        identity.make_installation_admin(session, user_id=above.user_id)
    as_operator = key_headers(database, replace(above, is_installation_admin=True))
    assert client.get("/v1/admin/workspaces", headers=as_operator).status_code == 200
    listed = client.get("/v1/api_keys", headers=as_admin).json()["data"]
    key_id = next(key["id"] for key in listed if as_operator["authorization"].endswith(key["last4"]))
    assert code_of(rotate(client, as_admin, key_id)) == (403, "not_your_key")


class TestALimitedKey:
    def test_does_not_get_an_unlimited_one_of_its_owner(self, client: TestClient, as_admin: Headers) -> None:
        whole_id, _ = make(client, as_admin)
        _, limited = make(client, as_admin, scopes=["keys:manage"])
        assert code_of(rotate(client, limited, whole_id)) == (403, "scope_too_broad")

    def test_does_not_get_one_with_another_right(self, client: TestClient, as_admin: Headers) -> None:
        other_id, _ = make(client, as_admin, scopes=["keys:manage", "audit:read"])
        _, limited = make(client, as_admin, scopes=["keys:manage"])
        assert code_of(rotate(client, limited, other_id)) == (403, "scope_too_broad")

    def test_does_not_get_one_with_a_greater_role(self, client: TestClient, as_admin: Headers) -> None:
        great_id, _ = make(client, as_admin)
        _, small = make(client, as_admin, role="member")
        assert code_of(rotate(client, small, great_id)) == (403, "role_too_high")

    def test_does_not_get_one_that_outlives_it(self, client: TestClient, as_admin: Headers) -> None:
        lasting_id, _ = make(client, as_admin)
        _, brief = make(client, as_admin, expires_at=int(time.time()) + 3600)
        assert code_of(rotate(client, brief, lasting_id)) == (403, "outlives_its_maker")

    def test_gets_what_it_could_make(self, client: TestClient, as_admin: Headers) -> None:
        until = int(time.time()) + 3600
        fields = {"scopes": ["keys:manage", "models:read"], "role": "member", "expires_at": until}
        lesser_id, _ = make(client, as_admin, scopes=["models:read"], role="member", expires_at=until)
        _, limited = make(client, as_admin, **fields)
        assert rotate(client, limited, lesser_id).status_code == 200

    def test_renews_itself(self, client: TestClient, as_admin: Headers) -> None:
        own_id, own = make(client, as_admin, scopes=["keys:manage"], role="member", expires_at=int(time.time()) + 3600)
        assert rotate(client, own, own_id).status_code == 200


class TestTheKeyOfAServiceAccount:
    def account(self, client: TestClient, as_admin: Headers) -> str:
        made = client.post("/v1/service_accounts", headers=as_admin, json={"name": "nightly", "role": "admin"})
        return str(made.json()["id"])

    def test_is_renewed_by_an_admin(self, client: TestClient, as_admin: Headers) -> None:
        key_id, _ = make(client, as_admin, service_account_id=self.account(client, as_admin))
        assert rotate(client, as_admin, key_id).status_code == 200

    def test_is_not_handed_to_who_does_not_manage_members(self, client: TestClient, as_admin: Headers) -> None:
        key_id, _ = make(client, as_admin, service_account_id=self.account(client, as_admin))
        _, limited = make(client, as_admin, scopes=["keys:manage", "workspace:admin"])
        assert code_of(rotate(client, limited, key_id)) == (403, "not_your_key")

    def test_does_not_get_a_greater_one_of_the_account(self, client: TestClient, as_admin: Headers) -> None:
        account_id = self.account(client, as_admin)
        great_id, _ = make(client, as_admin, service_account_id=account_id)
        _, small = make(client, as_admin, service_account_id=account_id, role="member")
        assert code_of(rotate(client, small, great_id)) == (403, "role_too_high")


def test_whose_role_fell_still_renews_their_keys(
    client: TestClient, database: Database, workspace_id: str, as_admin: Headers
) -> None:
    """Such a key does no more than its owner may today, whatever it was made with."""
    fallen = make_principal(database, workspace_id, Role.ADMIN)
    own = key_headers(database, fallen)
    key_id = next(
        key["id"]
        for key in client.get("/v1/api_keys", headers=own).json()["data"]
        if own["authorization"].endswith(key["last4"])
    )
    client.patch(f"/v1/members/{fallen.user_id}", headers=as_admin, json={"role": "member"})
    assert rotate(client, own, key_id).status_code == 200
