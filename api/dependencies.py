"""What routes ask for: who is asking, may they, and the session bound to their workspace.

Every route takes `Depends(require(Permission.X))` or stands in `PUBLIC_ROUTES`; a test walks the route table.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.browser import check_csrf, session_cookie_name
from api.threads import in_thread
from api.transactions import session_in_turn
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Forbidden, Unauthenticated
from core.identity import service as identity
from core.identity.oidc.provider import OidcProvider
from core.inference.client import InferenceClient
from core.kit.logs import logged_workspace_id
from core.workspaces import access
from core.workspaces.principal import Principal
from core.workspaces.roles import PERMISSIONS, Permission

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
        # whoever was given a model may see who signed it
        ("GET", "/v1/signing_key"),
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


def _inference(request: Request) -> InferenceClient:
    if request.app.state.inference is None:
        request.app.state.inference = InferenceClient(request.app.state.settings)
    found: InferenceClient = request.app.state.inference
    return found


SettingsDep = Annotated[Settings, Depends(_settings)]
# for routes that must not hold a session while they work (streams), or that serve no workspace (sign-in)
DatabaseDep = Annotated[Database, Depends(_database)]
BackendsDep = Annotated[Backends, Depends(_backends)]
InferenceDep = Annotated[InferenceClient, Depends(_inference)]
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


async def principal_of(request: Request) -> Principal:
    """Asked once a request, however many depend on it."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    state = request.app.state
    found = await in_thread(partial(current_principal, request, state.settings, state.database))
    # here and not in the thread, which has a context of its own
    logged_workspace_id.set(found.workspace_id)
    return found


PrincipalDep = Annotated[Principal, Depends(principal_of)]


def require(permission: Permission | None = None) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that gives the principal if they have `permission`; without one, whoever is signed in.

    Raises `Unauthenticated` for nobody and `Forbidden`, naming who can help, for too small a role.
    """

    # it asks for nothing but the request: each dependency of a dependency takes its time with every request
    async def permitted(request: Request) -> Principal:
        principal = await principal_of(request)
        if permission is not None and not principal.may(permission):
            raise _forbidden(principal, permission)
        return principal

    permitted.permission = permission  # type: ignore[attr-defined] # read by the test of the route table
    return permitted


def _forbidden(principal: Principal, permission: Permission) -> Forbidden:
    is_above = permission is Permission.INSTALLATION_ADMIN
    details = {"permission": permission.value, "role": principal.role.value}
    if principal.scopes is not None and permission in PERMISSIONS[principal.role]:
        return Forbidden(
            f"This API key is limited to {', '.join(sorted(principal.scopes))}, and this needs the right "
            f"{permission}. Use another key, or ask an admin of the workspace for one.",
            details=details,
        )
    whom = "an admin of the installation" if is_above else "an admin of the workspace"
    return Forbidden(
        f"Your role here is {principal.role}, and this needs the right {permission}. Ask {whom}.", details=details
    )


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


async def _workspace_session(request: Request) -> Session:
    principal = await principal_of(request)
    return await session_in_turn(request, request.app.state.database, workspace_scope(principal.workspace_id))


SessionDep = Annotated[Session, Depends(_workspace_session)]


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
