"""Every route, present and future, against everyone who must not use it."""

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.dependencies import PUBLIC_ROUTES
from api.main import create_app
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission, Role
from tests.api.routes_of import Route, routes_of

ROUTES = routes_of(create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none")))
GUARDED = [route for route in ROUTES if route.is_guarded]
WRITES = [route for route in GUARDED if route.is_write]
ABOVE = [route for route in GUARDED if route.permission is Permission.INSTALLATION_ADMIN]


def send(client: TestClient, route: Route, headers: dict[str, str], value: str = "none") -> Response:
    is_body_wanted = route.method in {"POST", "PUT", "PATCH"}
    return client.request(route.method, route.url(value), headers=headers, json={} if is_body_wanted else None)


def test_every_route_asks_for_a_right_or_is_on_the_public_list() -> None:
    unguarded = {(route.method, route.path) for route in ROUTES if not route.is_guarded}
    assert unguarded == PUBLIC_ROUTES


def test_every_route_is_versioned() -> None:
    # where Prometheus looks unless it is told otherwise
    customary = {"/metrics"}
    assert [str(route) for route in ROUTES if not route.path.startswith("/v1/") and route.path not in customary] == []


def test_every_write_asks_for_more_than_reading() -> None:
    open_to_all = {
        "/v1/auth/sign_out",
        "/v1/auth/password",
        "/v1/chat/completions",
        "/v1/fine_tuning/estimates",
        "/v1/fine_tuning/jobs/estimate",
        "/v1/fine_tuning/jobs/dry_run",
    }
    weak = [
        str(route)
        for route in GUARDED
        if route.method != "GET" and not route.is_write and route.path not in open_to_all
    ]
    assert weak == []


@pytest.mark.stack
@pytest.mark.parametrize("route", GUARDED, ids=str)
def test_nobody_is_told_to_sign_in(client: TestClient, route: Route) -> None:
    answer = send(client, route, {})
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["type"] == "authentication_error"


@pytest.mark.stack
@pytest.mark.parametrize("route", WRITES, ids=str)
def test_a_viewer_may_not_write(client: TestClient, as_viewer: dict[str, str], route: Route) -> None:
    answer = send(client, route, as_viewer)
    assert answer.status_code == 403, answer.text
    error = answer.json()["error"]
    assert error["type"] == "permission_error"
    assert error["code"] == "permission_denied"
    assert "admin" in error["message"]


@pytest.mark.stack
@pytest.mark.parametrize("route", ABOVE, ids=str)
def test_what_concerns_all_workspaces_is_not_for_the_admin_of_one(
    client: TestClient, as_admin: dict[str, str], as_member: dict[str, str], route: Route
) -> None:
    for headers in (as_admin, as_member):
        answer = send(client, route, headers)
        assert answer.status_code == 403, answer.text
        assert "an admin of the installation" in answer.json()["error"]["message"]


def test_everything_of_the_admin_pages_concerns_all_workspaces() -> None:
    assert {route for route in ROUTES if route.path.startswith("/v1/admin/")} == set(ABOVE) - {
        route for route in ROUTES if route.path == "/metrics"
    }


@pytest.mark.stack
class TestThingsOfAnotherWorkspace:
    """They do not exist for us: 404, never 403, which would say that they do."""

    def test_a_key_cannot_be_revoked(
        self, client: TestClient, database: Database, principal: Principal, as_stranger: dict[str, str]
    ) -> None:
        with database.session(SYSTEM) as session:
            key_id = workspaces.create_api_key(session, principal=principal, name="theirs").key.id
        assert client.delete(f"/v1/api_keys/{key_id}", headers=as_stranger).status_code == 404

    def test_a_member_cannot_be_removed_or_changed(
        self, client: TestClient, principal: Principal, as_stranger: dict[str, str]
    ) -> None:
        url = f"/v1/members/{principal.user_id}"
        assert client.delete(url, headers=as_stranger).status_code == 404
        assert client.patch(url, headers=as_stranger, json={"role": "viewer"}).status_code == 404

    def test_nothing_of_ours_is_in_their_lists(
        self, client: TestClient, as_admin: dict[str, str], as_stranger: dict[str, str]
    ) -> None:
        client.post("/v1/api_keys", headers=as_admin, json={"name": "ours"})
        ours = {
            item["id"] for path in ("api_keys", "members", "audit_events") for item in _list(client, path, as_admin)
        }
        theirs = {
            item["id"] for path in ("api_keys", "members", "audit_events") for item in _list(client, path, as_stranger)
        }
        assert ours
        assert not ours & theirs


@pytest.mark.stack
@pytest.mark.parametrize(
    "route", [route for route in GUARDED if "{" in route.path and route.method in {"GET", "DELETE"}], ids=str
)
def test_an_unknown_id_is_not_found(
    client: TestClient, as_admin: dict[str, str], as_operator: dict[str, str], route: Route
) -> None:
    headers = as_operator if route in ABOVE else as_admin
    assert send(client, route, headers, "thing_unknown").status_code == 404


def test_a_greater_role_may_do_all_that_a_lesser_may() -> None:
    viewer, reviewer, member, admin = (_principal(role).permissions for role in Role)
    assert viewer < reviewer < member < admin
    # what concerns all workspaces goes with a person, whatever their role
    assert admin == frozenset(Permission) - {Permission.INSTALLATION_ADMIN}


def _principal(role: Role) -> Principal:
    return Principal(workspace_id="ws_1", user_id="user_1", role=role, display_name="Ana")


def _list(client: TestClient, path: str, headers: dict[str, str]) -> list[dict[str, str]]:
    return client.get(f"/v1/{path}", headers=headers).json()["data"]
