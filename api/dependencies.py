"""What routes ask for: who is asking, may they, and the session bound to their workspace.

Every route takes `Depends(require(Permission.X))` or stands in `PUBLIC_ROUTES`; a test walks the route table.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from fastapi.concurrency import contextmanager_in_threadpool, run_in_threadpool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.browser import check_csrf, session_cookie_name
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database, Scope, workspace_scope
from core.errors import Forbidden, Unauthenticated
from core.identity import service as identity
from core.identity.oidc.provider import OidcProvider
from core.kit.logs import logged_workspace_id
from core.workspaces import access
from core.workspaces.principal import Principal
from core.workspaces.roles import PERMISSIONS, Permission

if TYPE_CHECKING:
    from api.turns import DatabaseTurns

# the official clients send it when they are given a project; a project is a workspace
_PROJECT_HEADER = "openai-project"

PUBLIC_ROUTES = frozenset(
    {
        ("POST", "/v1/auth/sign_in"),
        ("POST", "/v1/invitations/accept"),
        ("POST", "/v1/invitations/lookup"),
        ("GET", "/v1/auth/options"),
        ("POST", "/v1/auth/password_reset"),
        ("POST", "/v1/auth/password_reset/finish"),
        ("POST", "/v1/auth/oidc/start"),
        ("GET", "/v1/auth/oidc/callback"),
        ("POST", "/v1/setup"),
        ("GET", "/v1/health"),
        ("GET", "/v1/ready"),
        ("GET", "/v1/openapi.json"),
    }
)


# async because they wait for nothing: each sync one costs a turn of the thread pool
async def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


async def _database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


async def _backends(request: Request) -> Backends:
    found: Backends = request.app.state.backends
    return found


def _oidc_provider(request: Request) -> OidcProvider:
    found: OidcProvider = request.app.state.oidc_provider
    return found


SettingsDep = Annotated[Settings, Depends(_settings)]
# for routes that must not hold a session while they work (streams), or that serve no workspace (sign-in)
DatabaseDep = Annotated[Database, Depends(_database)]
BackendsDep = Annotated[Backends, Depends(_backends)]
OidcProviderDep = Annotated[OidcProvider, Depends(_oidc_provider)]


def current_principal(request: Request, settings: Settings, database: Database) -> Principal:
    """Who asks. A bearer key wins and cookies are then ignored; a browser must also pass the CSRF checks."""
    authorization = request.headers.get("authorization")
    if authorization is not None:
        principal = _principal_of_bearer(request, database, authorization)
    else:
        principal = _principal_of_cookie(request, settings, database)
    request.state.principal = principal
    return principal


async def _principal(request: Request, settings: SettingsDep, database: DatabaseDep) -> Principal:
    found = await run_in_threadpool(current_principal, request, settings, database)
    # here and not in the thread, which has a context of its own
    logged_workspace_id.set(found.workspace_id)
    return found


PrincipalDep = Annotated[Principal, Depends(_principal)]


def require(permission: Permission | None = None) -> Callable[[Principal], Awaitable[Principal]]:
    """A dependency that gives the principal if they have `permission`; without one, whoever is signed in.

    Raises `Unauthenticated` for nobody and `Forbidden`, naming who can help, for too small a role.
    """

    async def permitted(principal: PrincipalDep) -> Principal:
        if permission is not None and not principal.may(permission):
            is_above = permission is Permission.INSTALLATION_ADMIN
            if principal.scopes is not None and permission in PERMISSIONS[principal.role]:
                raise Forbidden(
                    f"This API key is limited to {', '.join(sorted(principal.scopes))}, and this needs the right "
                    f"{permission}. Use another key, or ask an admin of the workspace for one.",
                    details={"permission": permission.value, "role": principal.role.value},
                )
            whom = "an admin of the installation" if is_above else "an admin of the workspace"
            raise Forbidden(
                f"Your role here is {principal.role}, and this needs the right {permission}. Ask {whom}.",
                details={"permission": permission.value, "role": principal.role.value},
            )
        return principal

    permitted.permission = permission  # type: ignore[attr-defined] # read by the test of the route table
    return permitted


def may_still(
    request: Request, settings: Settings, database: Database, *, principal: Principal, permission: Permission
) -> bool:
    """Whether who asked once still may: a stream outlives what a key, a session and a membership were when it began.

    While the database cannot tell, it stands.
    """
    try:
        found = current_principal(request, settings, database)
    except (Unauthenticated, Forbidden):
        return False
    except SQLAlchemyError:
        return True
    return found.workspace_id == principal.workspace_id and found.may(permission)


def browser_session(principal: Principal) -> str:
    """The id of the browser's session. Raises `Forbidden` for an API key, which is no person."""
    if principal.session_id is None:
        raise Forbidden("Only a person in a browser can do this, not an API key.", code="browser_only")
    return principal.session_id


@asynccontextmanager
async def session_in_turn(request: Request, database: Database, scope: Scope) -> AsyncGenerator[Session, None]:
    """A session that is opened and ended in threads, when it is the request's turn."""
    turns: DatabaseTurns = request.app.state.database_turns
    async with turns.one(), contextmanager_in_threadpool(database.session(scope)) as session:
        yield session


async def _workspace_session(
    request: Request, principal: PrincipalDep, database: DatabaseDep
) -> AsyncGenerator[Session, None]:
    async with session_in_turn(request, database, workspace_scope(principal.workspace_id)) as session:
        yield session


# scope="function" ends the dependency, and so commits, before the response is sent: a failed commit is an error to the
# client, and what a client was told is there when it asks again
SessionDep = Annotated[Session, Depends(_workspace_session, scope="function")]


def _principal_of_bearer(request: Request, database: Database, authorization: str) -> Principal:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() == "bearer" and secret:
        caller = access.caller_of_key(database, secret=secret.strip())
        if caller:
            if _named_project(request) not in {None, caller.principal.workspace_id}:
                raise _mismatched_project()
            if caller.is_use_stale and caller.principal.api_key_id:
                with database.session(SYSTEM) as session:
                    access.note_key_use(session, key_id=caller.principal.api_key_id)
            return caller.principal
    raise Unauthenticated(
        "The API key is not valid: it is mistyped, was revoked, or its owner left the workspace. "
        "Make a new one under Settings, API keys."
    )


def _principal_of_cookie(request: Request, settings: Settings, database: Database) -> Principal:
    token = request.cookies.get(session_cookie_name(settings))
    if token is None:
        raise Unauthenticated(
            "Nobody is signed in. Sign in, or send an API key as `Authorization: Bearer tb_live_…`.",
            code="not_signed_in",
        )
    named = _named_project(request)
    with database.session(SYSTEM) as session:
        user_session = identity.find_session(session, token=token, idle_s=settings.session_idle_s)
        if user_session is None:
            raise Unauthenticated("The session has ended. Sign in again.", code="session_ended")
        principal = access.principal_of_session(session, user_session=user_session, workspace_id=named)
    check_csrf(request, settings, session_id=user_session.id)
    if principal is None and named is not None:
        raise _mismatched_project()
    if principal is None:
        raise Forbidden("You belong to no workspace any more. Ask an admin to add you.", code="no_workspace")
    return principal


def _named_project(request: Request) -> str | None:
    return request.headers.get(_PROJECT_HEADER) or None


def _mismatched_project() -> Unauthenticated:
    """The same for a project that is not there and one that is somebody else's."""
    return Unauthenticated(
        "The OpenAI-Project header names a project that this key or session is not of. A project is a workspace: leave "
        "the header out, or send the id that stands under Settings, Workspace.",
        code="mismatched_project",
    )
