"""Everybody who may not pass, and what they are told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import text

from api.browser import CSRF_HEADER, csrf_token, session_cookie_name
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.identity import service as identity
from core.identity.service import OpenedSession
from core.workspaces import api_keys
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission, Role
from tests.api.routes_of import Route
from tests.conftest import make_principal


def _every(_route: Route) -> bool:
    return True


_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends `headers` to the routes of `is_for`, and must be answered `status` and `code`."""

    headers: Mapping[str, str]
    status: int
    code: str
    is_for: Callable[[Route], bool] = _every


@dataclass(frozen=True, slots=True)
class Door:
    """A workspace, whose admin is `principal`."""

    database: Database
    settings: Settings
    principal: Principal

    def key(self, principal: Principal | None = None, role: Role | None = None) -> tuple[str, str]:
        """A new key: its id and its secret."""
        with self.database.session(SYSTEM) as session:
            made = workspaces.create_api_key(session, principal=principal or self.principal, name="test", role=role)
        return made.key.id, made.secret

    def member(self, role: Role) -> Principal:
        return make_principal(self.database, self.principal.workspace_id, role)

    def browser(self, principal: Principal | None = None) -> OpenedSession:
        """A signed-in one."""
        user_id = (principal or self.principal).user_id
        with self.database.session(SYSTEM) as session:
            return identity.open_session(session, user_id=user_id, max_s=3600)

    def cookie(self, opened: OpenedSession) -> dict[str, str]:
        return {"cookie": f"{session_cookie_name(self.settings)}={opened.token}"}

    def csrf(self, opened: OpenedSession) -> dict[str, str]:
        return {CSRF_HEADER: csrf_token(self.settings, session_id=opened.session.id)}

    def execute(self, statement: str, **values: object) -> None:
        with self.database.session(SYSTEM) as session:
            session.execute(text(statement), values)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def nobody(_door: Door) -> Caller:
    return Caller({}, 401, "not_signed_in")


def a_key_that_is_noise(_door: Door) -> Caller:
    return Caller(bearer("sk-0123456789"), 401, "invalid_api_key")


def a_key_of_the_right_form_that_nobody_made(_door: Door) -> Caller:
    return Caller(bearer(api_keys.new_key()), 401, "invalid_api_key")


def a_password_in_the_place_of_a_key(_door: Door) -> Caller:
    return Caller({"authorization": "Basic YWRtaW46YWRtaW4="}, 401, "invalid_api_key")


def a_revoked_key(door: Door) -> Caller:
    key_id, secret = door.key()
    with door.database.session(SYSTEM) as session:
        workspaces.revoke_api_key(session, principal=door.principal, key_id=key_id)
    return Caller(bearer(secret), 401, "invalid_api_key")


def an_expired_key(door: Door) -> Caller:
    key_id, secret = door.key()
    door.execute("update api_keys set expires_at = now() where id = :id", id=key_id)
    return Caller(bearer(secret), 401, "api_key_expired")


def a_secret_that_was_rotated_out(door: Door) -> Caller:
    key_id, secret = door.key()
    with door.database.session(SYSTEM) as session:
        workspaces.rotate_api_key(session, principal=door.principal, key_id=key_id, overlap_s=0)
    return Caller(bearer(secret), 401, "api_key_expired")


def a_key_with_the_project_of_another(door: Door) -> Caller:
    return Caller(bearer(door.key()[1]) | {"openai-project": "ws_of_somebody_else"}, 401, "mismatched_project")


def a_browser_with_the_project_of_another(door: Door) -> Caller:
    opened = door.browser()
    headers = door.cookie(opened) | door.csrf(opened) | {"openai-project": "ws_of_somebody_else"}
    return Caller(headers, 401, "mismatched_project")


def a_key_of_an_archived_workspace(door: Door) -> Caller:
    _, secret = door.key()
    door.execute("update workspaces set archived_at = now() where id = :id", id=door.principal.workspace_id)
    return Caller(bearer(secret), 401, "invalid_api_key")


def a_key_whose_maker_left(door: Door) -> Caller:
    leaver = door.member(Role.ADMIN)
    _, secret = door.key(leaver)
    with door.database.session(SYSTEM) as session:
        workspaces.remove_member(session, workspace_id=leaver.workspace_id, user_id=leaver.user_id)
    return Caller(bearer(secret), 401, "invalid_api_key")


def a_bad_key_beside_a_good_cookie(door: Door) -> Caller:
    opened = door.browser()
    return Caller(bearer("none") | door.cookie(opened) | door.csrf(opened), 401, "invalid_api_key")


def a_cookie_that_is_noise(door: Door) -> Caller:
    return Caller({"cookie": f"{session_cookie_name(door.settings)}=none"}, 401, "session_ended")


def a_browser_that_signed_out(door: Door) -> Caller:
    opened = door.browser()
    with door.database.session(SYSTEM) as session:
        identity.end_session(session, session_id=opened.session.id)
    return Caller(door.cookie(opened) | door.csrf(opened), 401, "session_ended")


def a_browser_that_was_idle_for_too_long(door: Door) -> Caller:
    opened = door.browser()
    idle = "update sessions set last_seen_at = now() - make_interval(secs => :idle_s) where id = :id"
    door.execute(idle, idle_s=door.settings.session_idle_s + 1, id=opened.session.id)
    return Caller(door.cookie(opened) | door.csrf(opened), 401, "session_ended")


def a_browser_whose_session_is_too_old(door: Door) -> Caller:
    opened = door.browser()
    door.execute("update sessions set expires_at = now() where id = :id", id=opened.session.id)
    return Caller(door.cookie(opened) | door.csrf(opened), 401, "session_ended")


def somebody_who_belongs_nowhere(door: Door) -> Caller:
    leaver = door.member(Role.MEMBER)
    opened = door.browser(leaver)
    with door.database.session(SYSTEM) as session:
        workspaces.remove_member(session, workspace_id=leaver.workspace_id, user_id=leaver.user_id)
    return Caller(door.cookie(opened) | door.csrf(opened), 403, "no_workspace")


def a_page_without_the_csrf_token(door: Door) -> Caller:
    return Caller(door.cookie(door.browser()), 403, "csrf_token_invalid", _is_unsafe)


def a_page_with_the_csrf_token_of_another_session(door: Door) -> Caller:
    headers = door.cookie(door.browser()) | door.csrf(door.browser())
    return Caller(headers, 403, "csrf_token_invalid", _is_unsafe)


def a_page_of_another_site(door: Door) -> Caller:
    opened = door.browser()
    headers = door.cookie(opened) | door.csrf(opened) | {"origin": "https://evil.example"}
    return Caller(headers, 403, "cross_site_request", _is_unsafe)


def a_frame_of_another_site(door: Door) -> Caller:
    opened = door.browser()
    headers = door.cookie(opened) | door.csrf(opened) | {"sec-fetch-site": "cross-site"}
    return Caller(headers, 403, "cross_site_request", _is_unsafe)


def a_viewer(door: Door) -> Caller:
    return _without_the_right(door, door.member(Role.VIEWER))


def a_reviewer(door: Door) -> Caller:
    return _without_the_right(door, door.member(Role.REVIEWER))


def a_member(door: Door) -> Caller:
    return _without_the_right(door, door.member(Role.MEMBER))


def the_admin_of_a_workspace(door: Door) -> Caller:
    return _without_the_right(door, door.principal)


def a_viewer_in_a_browser(door: Door) -> Caller:
    viewer = door.member(Role.VIEWER)
    opened = door.browser(viewer)
    return replace(_without_the_right(door, viewer), headers=door.cookie(opened) | door.csrf(opened))


def a_viewers_key_of_an_admin(door: Door) -> Caller:
    _, secret = door.key(role=Role.VIEWER)
    viewer = replace(door.principal, role=Role.VIEWER)
    return replace(_without_the_right(door, viewer), headers=bearer(secret))


def an_admins_key_that_is_limited_to_reading_models(door: Door) -> Caller:
    limits = frozenset({Permission.MODELS_READ})
    with door.database.session(SYSTEM) as session:
        made = workspaces.create_api_key(session, principal=door.principal, name="test", scopes=limits)
    return replace(_without_the_right(door, replace(door.principal, scopes=limits)), headers=bearer(made.secret))


def an_admins_key_whose_maker_is_a_viewer_now(door: Door) -> Caller:
    demoted = door.member(Role.ADMIN)
    _, secret = door.key(demoted)
    with door.database.session(SYSTEM) as session:
        workspaces.change_role(session, workspace_id=demoted.workspace_id, user_id=demoted.user_id, role=Role.VIEWER)
    return replace(_without_the_right(door, replace(demoted, role=Role.VIEWER)), headers=bearer(secret))


CALLERS: tuple[Callable[[Door], Caller], ...] = (
    nobody,
    a_key_that_is_noise,
    a_key_of_the_right_form_that_nobody_made,
    a_password_in_the_place_of_a_key,
    a_revoked_key,
    an_expired_key,
    a_secret_that_was_rotated_out,
    a_key_with_the_project_of_another,
    a_browser_with_the_project_of_another,
    a_key_of_an_archived_workspace,
    a_key_whose_maker_left,
    a_bad_key_beside_a_good_cookie,
    a_cookie_that_is_noise,
    a_browser_that_signed_out,
    a_browser_that_was_idle_for_too_long,
    a_browser_whose_session_is_too_old,
    somebody_who_belongs_nowhere,
    a_page_without_the_csrf_token,
    a_page_with_the_csrf_token_of_another_session,
    a_page_of_another_site,
    a_frame_of_another_site,
    a_viewer,
    a_reviewer,
    a_member,
    the_admin_of_a_workspace,
    a_viewer_in_a_browser,
    a_viewers_key_of_an_admin,
    an_admins_key_that_is_limited_to_reading_models,
    an_admins_key_whose_maker_is_a_viewer_now,
)


def _is_unsafe(route: Route) -> bool:
    return route.method in _UNSAFE


def _without_the_right(door: Door, principal: Principal) -> Caller:
    """With a key of the principal, to every route whose right they have not."""
    _, secret = door.key(principal)
    return Caller(
        bearer(secret),
        403,
        "permission_denied",
        lambda route: route.permission is not None and not principal.may(route.permission),
    )
