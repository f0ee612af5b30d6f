from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.auth.accepted import record_accepted
from api.auth.bodies import session_body
from api.auth.proof import check_password
from api.auth.schemas import (
    OptionsBody,
    PasswordChangeBody,
    PasswordChangedBody,
    SessionBody,
    SignedOutBody,
    SignInBody,
)
from api.browser import (
    browser_of,
    check_origin,
    client_address,
    csrf_token,
    delete_session_cookie,
    session_cookie_name,
    set_session_cookie,
)
from api.dependencies import (
    BackendsDep,
    DatabaseDep,
    OidcProviderDep,
    SessionDep,
    SettingsDep,
    browser_session,
    require,
)
from api.retries import RetriedRoute
from core.audit import service as audit
from core.audit.people import record_of_person
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import Forbidden, Unauthenticated
from core.identity import service as identity
from core.identity import sign_in as signing_in
from core.identity.resets import service as resets
from core.identity.sign_in import SignedIn
from core.workspaces import access, setup
from core.workspaces.invitations import service as invitations
from core.workspaces.principal import Principal

router = APIRouter(tags=["auth"], route_class=RetriedRoute)

SignedInDep = Annotated[Principal, Depends(require())]


@router.get("/v1/auth/options")
def get_options(database: DatabaseDep, backends: BackendsDep, provider: OidcProviderDep) -> OptionsBody:
    """What a sign-in page offers. Says nothing about anybody."""
    with database.session(SYSTEM) as session:
        return OptionsBody(
            is_set_up=setup.is_done(session),
            sends_mail=backends.mail.is_configured,
            oidc_name=provider.name if provider.is_configured else None,
        )


@router.post("/v1/auth/sign_in")
def sign_in(
    body: SignInBody, request: Request, response: Response, settings: SettingsDep, database: DatabaseDep
) -> SessionBody:
    """Open a browser session: sets its cookie, and gives the token that unsafe requests must carry."""
    check_origin(request, settings)
    # counted and committed on its own, so that a failed attempt is remembered
    with database.session(SYSTEM) as session:
        num_left = signing_in.begin_sign_in(session, email=body.email, client_address=client_address(request))
    try:
        with database.session(SYSTEM) as session:
            end_previous(session, request, settings)
            signed_in = signing_in.finish_sign_in(
                session,
                email=body.email,
                password=body.password,
                code=body.code,
                sealer=settings.sealer(),
                max_s=settings.session_max_s,
                browser=browser_of(request),
            )
            if body.invitation is not None:
                _accept(session, body.invitation, signed_in)
            principal = access.principal_of_session(session, user_session=signed_in.opened.session)
            if principal is None:
                raise Forbidden("You belong to no workspace. Ask an admin to add you.", code="no_workspace")
            second_factor = signed_in.second_factor
            details = {"second_factor": second_factor.value} if second_factor else {}
            audit.record(
                session, principal=principal, action="user.signed_in", target_id=principal.user_id, details=details
            )
            answer = session_body(session, principal, settings)
    except Unauthenticated:
        if num_left == 0:
            _record_lockout(database, body.email)
        raise
    set_session_cookie(response, settings, token=signed_in.opened.token)
    return answer


@router.get("/v1/auth/session")
def get_session(principal: SignedInDep, database: DatabaseDep, settings: SettingsDep) -> SessionBody:
    """Who is asking, by cookie or by API key."""
    # where else they may go is a question about all workspaces
    with database.session(SYSTEM) as session:
        return session_body(session, principal, settings)


@router.post("/v1/auth/sign_out")
def sign_out(principal: SignedInDep, session: SessionDep, response: Response, settings: SettingsDep) -> SignedOutBody:
    identity.end_session(session, session_id=browser_session(principal))
    delete_session_cookie(response, settings)
    return SignedOutBody()


@router.post("/v1/auth/password")
def change_password(
    body: PasswordChangeBody,
    request: Request,
    response: Response,
    principal: SignedInDep,
    settings: SettingsDep,
    database: DatabaseDep,
) -> PasswordChangedBody:
    """Set a new password, and sign out every other browser of this person."""
    session_id = check_password(request, database, principal, password=body.current_password, param="current_password")
    with database.session(SYSTEM) as session:
        identity.set_password(session, user_id=principal.user_id, password=body.new_password)
        resets.void(session, user_id=principal.user_id)
        renewed = identity.renew_session(session, session_id=session_id, max_s=settings.session_max_s)
        identity.end_sessions_of(session, user_id=principal.user_id, except_id=renewed.session.id)
        record_of_person(session, user_id=principal.user_id, action="user.password_changed")
    set_session_cookie(response, settings, token=renewed.token)
    return PasswordChangedBody(csrf_token=csrf_token(settings, session_id=renewed.session.id))


def _accept(session: Session, token: str, signed_in: SignedIn) -> None:
    """Whoever belongs to no workspace could not sign in to accept an invitation to one."""
    offer = invitations.accept(session, token=token, user=signed_in.user)
    opened = signed_in.opened.session
    identity.choose_workspace(session, session_id=opened.id, workspace_id=offer.workspace.id)
    session.refresh(opened)
    record_accepted(session, user_id=signed_in.user.id, offer=offer)


def end_previous(session: Session, request: Request, settings: Settings) -> None:
    """Whoever signs in gets a new session; what the browser had before opens nothing any more."""
    token = request.cookies.get(session_cookie_name(settings))
    previous = identity.find_session(session, token=token, idle_s=settings.session_idle_s) if token else None
    if previous:
        identity.end_session(session, session_id=previous.id)


def _record_lockout(database: Database, email: str) -> None:
    """The last attempt that was allowed has failed: from now on, for a while, not even the right password opens."""
    with database.session(SYSTEM) as session:
        user = identity.find_user(session, email=email)
        if user is not None:
            record_of_person(session, user_id=user.id, action="user.locked_out")
