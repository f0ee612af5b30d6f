import time

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import Engine, text

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.conftest import key_headers, make_principal
from tests.factories.statements import statements

pytestmark = pytest.mark.stack

Headers = dict[str, str]
IN_AN_HOUR = int(time.time()) + 3600


def make(client: TestClient, headers: Headers, **fields: object) -> tuple[str, Headers]:
    """A key's id, and what a request with it carries."""
    made = client.post("/v1/api_keys", headers=headers, json={"name": "ci"} | fields)
    assert made.status_code == 200, made.text
    return made.json()["id"], bearer(made.json()["key"])


def bearer(secret: str) -> Headers:
    return {"authorization": f"Bearer {secret}"}


def code_of(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def age(engine: Engine, column: str) -> None:
    """What was to come is over."""
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        connection.execute(text(f"update api_keys set {column} = now() - interval '1 second' where {column} > now()"))


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


class TestScopes:
    def test_a_key_does_what_it_is_limited_to_and_nothing_else(self, client: TestClient, as_admin: Headers) -> None:
        _, limited = make(client, as_admin, scopes=["models:read", "runs:read"])
        assert client.get("/v1/auth/session", headers=limited).json()["permissions"] == ["models:read", "runs:read"]
        assert client.get("/v1/models", headers=limited).status_code == 200
        refused = client.get("/v1/files", headers=limited)
        assert code_of(refused) == (403, "permission_denied")
        assert "limited to models:read, runs:read" in refused.json()["error"]["message"]

    def test_a_limit_never_gives_more_than_the_role(self, client: TestClient, as_admin: Headers) -> None:
        body = {"name": "ci", "role": "viewer", "scopes": ["datasets:write"]}
        assert code_of(client.post("/v1/api_keys", headers=as_admin, json=body)) == (400, "scope_beyond_role")

    def test_nobody_hands_on_what_they_have_not(
        self, client: TestClient, as_member: Headers, as_admin: Headers
    ) -> None:
        body = {"name": "ci", "scopes": ["audit:read"]}
        assert client.post("/v1/api_keys", headers=as_member, json=body).status_code == 400
        _, limited = make(client, as_admin, scopes=["keys:manage"])
        assert code_of(client.post("/v1/api_keys", headers=limited, json=body)) == (403, "scope_too_broad")

    def test_a_limited_key_hands_its_limits_on(self, client: TestClient, as_admin: Headers) -> None:
        _, limited = make(client, as_admin, scopes=["keys:manage", "models:read"])
        _, next_one = make(client, limited)
        assert client.get("/v1/models", headers=next_one).status_code == 200
        assert client.get("/v1/members", headers=next_one).status_code == 403

    def test_only_the_key_of_who_runs_the_installation_can_have_their_right(
        self, client: TestClient, as_operator: Headers, as_admin: Headers
    ) -> None:
        _, above = make(client, as_operator, scopes=["installation:admin"])
        _, beside = make(client, as_operator, scopes=["models:read"])
        assert client.get("/v1/admin/queues", headers=above).status_code == 200
        assert client.get("/v1/admin/queues", headers=beside).status_code == 403
        refused = client.post("/v1/api_keys", headers=as_admin, json={"name": "k", "scopes": ["installation:admin"]})
        assert code_of(refused) == (403, "scope_too_broad")

    @pytest.mark.parametrize("scopes", [[], ["everything"], "models:read"])
    def test_nonsense_is_refused(self, client: TestClient, as_admin: Headers, scopes: object) -> None:
        assert client.post("/v1/api_keys", headers=as_admin, json={"name": "k", "scopes": scopes}).status_code == 400


class TestExpiry:
    def test_once_past_the_key_is_refused_by_name(
        self, client: TestClient, as_admin: Headers, owner_engine: Engine
    ) -> None:
        key_id, brief = make(client, as_admin, expires_at=IN_AN_HOUR)
        assert client.get("/v1/models", headers=brief).status_code == 200
        age(owner_engine, "expires_at")
        assert code_of(client.get("/v1/models", headers=brief)) == (401, "api_key_expired")
        assert key_id in client.get("/v1/api_keys", headers=as_admin).text
        assert code_of(client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={})) == (
            409,
            "key_has_expired",
        )

    def test_it_must_lie_ahead(self, client: TestClient, as_admin: Headers) -> None:
        body = {"name": "k", "expires_at": int(time.time()) - 1}
        assert code_of(client.post("/v1/api_keys", headers=as_admin, json=body)) == (400, "expiry_in_the_past")

    def test_a_key_that_expires_makes_none_that_lasts_longer(self, client: TestClient, as_admin: Headers) -> None:
        _, brief = make(client, as_admin, expires_at=IN_AN_HOUR)
        for longer in ({}, {"expires_at": IN_AN_HOUR + 1}):
            refused = client.post("/v1/api_keys", headers=brief, json={"name": "k"} | longer)
            assert code_of(refused) == (403, "outlives_its_maker")
        make(client, brief, expires_at=IN_AN_HOUR)


class TestRotate:
    def test_the_new_secret_works_at_once_and_the_old_one_for_the_overlap(
        self, client: TestClient, as_admin: Headers, owner_engine: Engine
    ) -> None:
        key_id, old = make(client, as_admin, expires_at=IN_AN_HOUR, scopes=["models:read"])
        rotated = client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={"overlap_s": 60}).json()
        new = bearer(rotated["key"])
        assert (rotated["id"], rotated["last4"]) == (key_id, rotated["key"][-4:])
        assert (rotated["expires_at"], rotated["scopes"]) == (IN_AN_HOUR, ["models:read"])
        assert 0 < rotated["previous_expires_at"] - time.time() <= 61
        assert [client.get("/v1/models", headers=headers).status_code for headers in (old, new)] == [200, 200]
        age(owner_engine, "previous_expires_at")
        assert code_of(client.get("/v1/models", headers=old)) == (401, "api_key_expired")
        assert client.get("/v1/models", headers=new).status_code == 200

    def test_without_an_overlap_the_old_one_dies_at_once(self, client: TestClient, as_admin: Headers) -> None:
        key_id, old = make(client, as_admin)
        client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={"overlap_s": 0})
        assert code_of(client.get("/v1/models", headers=old)) == (401, "api_key_expired")

    def test_only_the_last_secret_overlaps(self, client: TestClient, as_admin: Headers) -> None:
        key_id, first = make(client, as_admin)
        second = bearer(client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={}).json()["key"])
        client.post(f"/v1/api_keys/{key_id}/rotate", headers=second, json={})
        assert client.get("/v1/models", headers=first).status_code == 401
        assert client.get("/v1/models", headers=second).status_code == 200

    def test_revoking_ends_both(self, client: TestClient, as_admin: Headers) -> None:
        key_id, old = make(client, as_admin)
        new = bearer(client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={}).json()["key"])
        client.delete(f"/v1/api_keys/{key_id}", headers=as_admin)
        answers = [client.get("/v1/models", headers=headers) for headers in (old, new)]
        assert [code_of(answer) for answer in answers] == [(401, "invalid_api_key")] * 2

    @pytest.mark.parametrize("overlap_s", [-1, 24 * 3600 + 1, "long"])
    def test_an_overlap_is_a_day_at_most(self, client: TestClient, as_admin: Headers, overlap_s: object) -> None:
        key_id, _ = make(client, as_admin)
        answer = client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={"overlap_s": overlap_s})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "overlap_s")

    def test_somebody_elses_is_left_alone(self, client: TestClient, as_admin: Headers, as_member: Headers) -> None:
        key_id, _ = make(client, as_admin)
        for answer in (
            client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_member, json={}),
            client.patch(f"/v1/api_keys/{key_id}", headers=as_member, json={"name": "mine"}),
        ):
            assert code_of(answer) == (403, "not_your_key")

    def test_it_is_audited_without_the_secret(self, client: TestClient, as_admin: Headers) -> None:
        key_id, _ = make(client, as_admin)
        secret = client.post(f"/v1/api_keys/{key_id}/rotate", headers=as_admin, json={"overlap_s": 5}).json()["key"]
        answer = client.get("/v1/audit_events", headers=as_admin)
        assert answer.json()["data"][0]["details"] == {"name": "ci", "overlap_s": 5}
        assert secret not in answer.text


def test_a_key_gets_another_name(client: TestClient, as_admin: Headers) -> None:
    key_id, _ = make(client, as_admin)
    assert (
        client.patch(f"/v1/api_keys/{key_id}", headers=as_admin, json={"name": "nightly"}).json()["name"] == "nightly"
    )
    assert client.patch(f"/v1/api_keys/{key_id}", headers=as_admin, json={"name": " "}).status_code == 400


def test_a_stranger_cannot_tell_a_key_that_was_revoked_from_one_that_never_was(
    client: TestClient, as_admin: Headers
) -> None:
    key_id, revoked = make(client, as_admin)
    client.delete(f"/v1/api_keys/{key_id}", headers=as_admin)
    unknown = bearer(workspaces.api_keys.new_key())
    answers = [client.get("/v1/models", headers=headers) for headers in (revoked, unknown, bearer("tb_live_nonsense"))]
    assert len({answer.text for answer in answers}) == 1


def test_a_workspace_has_so_many_and_no_more(
    settings: Settings, database: Database, backends: Backends, as_admin: Headers
) -> None:
    few = settings.model_copy(update={"max_api_keys_per_workspace": 2})
    with TestClient(create_app(few, database, backends)) as client:
        key_id, _ = make(client, as_admin)
        refused = client.post("/v1/api_keys", headers=as_admin, json={"name": "one more"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "too_many_api_keys")
        client.delete(f"/v1/api_keys/{key_id}", headers=as_admin)
        make(client, as_admin)


def test_a_request_costs_one_statement_to_know_its_key(client: TestClient, as_admin: Headers) -> None:
    """No transaction around it, and the time of its last use is written once a minute."""
    client.get("/v1/models", headers=as_admin)
    with statements() as said:
        client.get("/v1/models", headers=as_admin)
    texts = [statement for statement, _ in said]
    assert [text for text in texts if "api_key" in text] == [texts[0]]
    assert "find_api_key" in texts[0]


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
