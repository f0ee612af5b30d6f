from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.auth.bodies import session_body
from api.auth.schemas import PasswordChangeBody, PasswordChangedBody, SessionBody, SignedOutBody, SignInBody
from api.browser import check_origin, delete_session_cookie, session_cookie_name, set_session_cookie
from api.dependencies import DatabaseDep, SessionDep, SettingsDep, require
from api.retries import RetriedRoute
from core.audit import service as audit
from core.config import Settings
from core.db.session import SYSTEM
from core.errors import Forbidden
from core.identity import service as identity
from core.workspaces import access
from core.workspaces.principal import Principal

router = APIRouter(tags=["auth"], route_class=RetriedRoute)

SignedInDep = Annotated[Principal, Depends(require())]


@router.post("/v1/auth/sign_in")
def sign_in(
    body: SignInBody, request: Request, response: Response, settings: SettingsDep, database: DatabaseDep
) -> SessionBody:
    """Open a browser session: sets its cookie, and gives the token that unsafe requests must carry."""
    check_origin(request, settings)
    # counted and committed on its own, so that a failed attempt is remembered
    with database.session(SYSTEM) as session:
        identity.begin_sign_in(session, email=body.email)
    with database.session(SYSTEM) as session:
        _end_previous(session, request, settings)
        _, opened = identity.finish_sign_in(
            session, email=body.email, password=body.password, max_s=settings.session_max_s
        )
        principal = access.principal_of_session(session, user_session=opened.session)
        if principal is None:
            raise Forbidden("You belong to no workspace. Ask an admin to add you.", code="no_workspace")
        audit.record(session, principal=principal, action="user.signed_in", target_id=principal.user_id)
        answer = session_body(session, principal, settings)
    set_session_cookie(response, settings, token=opened.token)
    return answer


@router.get("/v1/auth/session")
def get_session(principal: SignedInDep, database: DatabaseDep, settings: SettingsDep) -> SessionBody:
    """Who is asking, by cookie or by API key."""
    # where else they may go is a question about all workspaces
    with database.session(SYSTEM) as session:
        return session_body(session, principal, settings)


@router.post("/v1/auth/sign_out")
def sign_out(principal: SignedInDep, session: SessionDep, response: Response, settings: SettingsDep) -> SignedOutBody:
    identity.end_session(session, session_id=_browser_session(principal))
    delete_session_cookie(response, settings)
    return SignedOutBody()


@router.post("/v1/auth/password")
def change_password(body: PasswordChangeBody, principal: SignedInDep, session: SessionDep) -> PasswordChangedBody:
    """Set a new password, and sign out every other browser of this person."""
    identity.change_password(
        session,
        user_id=principal.user_id,
        current_password=body.current_password,
        new_password=body.new_password,
        kept_session_id=_browser_session(principal),
    )
    audit.record(session, principal=principal, action="user.password_changed", target_id=principal.user_id)
    return PasswordChangedBody()


def _browser_session(principal: Principal) -> str:
    if principal.session_id is None:
        raise Forbidden("Only a person in a browser can do this, not an API key.", code="browser_only")
    return principal.session_id


def _end_previous(session: Session, request: Request, settings: Settings) -> None:
    token = request.cookies.get(session_cookie_name(settings))
    previous = identity.find_session(session, token=token, idle_s=settings.session_idle_s) if token else None
    if previous:
        identity.end_session(session, session_id=previous.id)
