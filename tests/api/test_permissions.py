"""What every route, present and future, asks for. Whether it holds is the matter of `test_isolation.py`."""

from api.dependencies import PUBLIC_ROUTES
from api.main import create_app
from core.config import Settings
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission, Role
from tests.api.routes_of import routes_of

ROUTES = routes_of(create_app(Settings(s3_access_key_id="none", s3_secret_access_key="none")))
GUARDED = [route for route in ROUTES if route.is_guarded]
ABOVE = [route for route in GUARDED if route.permission is Permission.INSTALLATION_ADMIN]


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
        "/v1/auth/session/workspace",
        "/v1/invitations/join",
        "/v1/workspaces",
        "/v1/workspaces/{workspace_id}/restore",
        # of one's own account
        "/v1/profile",
        "/v1/profile/identities",
        "/v1/profile/identities/{identity_id}",
        "/v1/profile/sessions",
        "/v1/profile/sessions/{session_id}",
        "/v1/profile/totp",
        "/v1/profile/totp/confirm",
        "/v1/profile/totp/recovery_codes",
        "/v1/profile/totp/turn_off",
        "/v1/chat/completions",
        # to judge is what a reviewer is for
        "/v1/preferences",
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


def test_everything_of_the_admin_pages_concerns_all_workspaces() -> None:
    assert {route for route in ROUTES if route.path.startswith("/v1/admin/")} == set(ABOVE) - {
        route for route in ROUTES if route.path == "/metrics"
    }


def test_a_greater_role_may_do_all_that_a_lesser_may() -> None:
    viewer, reviewer, member, admin = (_principal(role).permissions for role in Role)
    assert viewer < reviewer < member < admin
    # what concerns all workspaces goes with a person, whatever their role
    assert admin == frozenset(Permission) - {Permission.INSTALLATION_ADMIN}


def _principal(role: Role) -> Principal:
    return Principal(workspace_id="ws_1", user_id="user_1", role=role, display_name="Ana")
