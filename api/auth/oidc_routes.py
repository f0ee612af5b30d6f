"""The single sign-on: to the provider and back."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.orm import Session

from api.auth.accepted import record_accepted
from api.auth.routes import end_previous
from api.auth.schemas import OidcStartBody, OidcStartedBody
from api.browser import (
    browser_of,
    check_origin,
    delete_oidc_cookie,
    oidc_cookie_name,
    own_path,
    session_cookie_name,
    set_oidc_cookie,
    set_session_cookie,
)
from api.dependencies import DatabaseDep, OidcProviderDep, SettingsDep
from api.retries import RetriedRoute
from core.audit import service as audit
from core.audit.people import record_of_person
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.errors import AppError, Forbidden, NotFound, Unauthenticated
from core.identity import service as identity
from core.identity.models import OidcFlow
from core.identity.oidc import flows
from core.identity.oidc import service as oidc
from core.identity.oidc.provider import CALLBACK_PATH, Claims, OidcProvider
from core.identity.service import OpenedSession
from core.workspaces import access, single_sign_on

router = APIRouter(tags=["auth"], route_class=RetriedRoute)

PROFILE_PATH = "/settings"
_SIGN_IN_PATH = "/sign-in"


@router.post("/v1/auth/oidc/start")
def start_oidc(
    body: OidcStartBody,
    request: Request,
    response: Response,
    settings: SettingsDep,
    database: DatabaseDep,
    provider: OidcProviderDep,
) -> OidcStartedBody:
    """Begin a single sign-on: sets a cookie that binds it to this browser, and says where to go."""
    check_origin(request, settings)
    return started(provider, database, settings, response, return_to=own_path(body.to), user_id=None)


@router.get(CALLBACK_PATH, response_class=RedirectResponse, status_code=303)
def finish_oidc(
    request: Request,
    settings: SettingsDep,
    database: DatabaseDep,
    provider: OidcProviderDep,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> RedirectResponse:
    """Where the provider sends the browser back to. Always leads to a page of ours; after a failure with its code."""
    token = request.cookies.get(oidc_cookie_name(settings))
    is_linking, opened = False, None
    try:
        with database.session(SYSTEM) as session:
            flow, secrets = flows.finish(session, token=token, state=state)
        is_linking = flow.user_id is not None
        if error or not code:
            raise _declined(error)
        # no session is held while the provider is asked
        claims = provider.claims_of(code=code, flow=secrets)
        with database.session(SYSTEM) as session:
            if is_linking:
                opened = _link(session, request, settings, flow, claims)
            else:
                opened = _sign_in(session, request, settings, claims)
        response = RedirectResponse(flow.return_to, status_code=303)
    except AppError as refusal:
        path = PROFILE_PATH if is_linking else _SIGN_IN_PATH
        response = RedirectResponse(f"{path}?{urlencode({'problem': refusal.error_code})}", status_code=303)
    if opened is not None:
        set_session_cookie(response, settings, token=opened.token)
    delete_oidc_cookie(response, settings)
    return response


def started(
    provider: OidcProvider,
    database: Database,
    settings: Settings,
    response: Response,
    *,
    return_to: str,
    user_id: str | None,
) -> OidcStartedBody:
    if not provider.is_configured:
        raise NotFound("This installation has no single sign-on.", code="oidc_not_configured")
    with database.session(SYSTEM) as session:
        secrets = flows.begin(session, return_to=return_to, user_id=user_id)
    url = provider.authorization_url(secrets)
    set_oidc_cookie(response, settings, token=secrets.token, max_age_s=flows.MAX_AGE_S)
    return OidcStartedBody(url=url)


def _sign_in(session: Session, request: Request, settings: Settings, claims: Claims) -> OpenedSession:
    arrival = single_sign_on.arrive(session, claims=claims, settings=settings)
    user_id = arrival.user.id
    if arrival.joined_by_domain:
        details = {"domain": arrival.joined_by_domain, "role": settings.oidc_auto_join_role}
        record_of_person(session, user_id=user_id, action="member.joined_by_domain", details=details)
    for offer in arrival.accepted:
        record_accepted(session, user_id=user_id, offer=offer)
    end_previous(session, request, settings)
    opened = identity.open_session(session, user_id=user_id, max_s=settings.session_max_s, browser=browser_of(request))
    principal = access.principal_of_session(session, user_session=opened.session)
    if principal is None:
        raise Forbidden("You belong to no workspace. Ask an admin to add you.", code="no_workspace")
    details = {"by": "oidc"}
    audit.record(session, principal=principal, action="user.signed_in", target_id=user_id, details=details)
    return opened


def _link(session: Session, request: Request, settings: Settings, flow: OidcFlow, claims: Claims) -> OpenedSession:
    """Only in the browser where the person is signed in still: the way to the provider may have taken minutes."""
    token = request.cookies.get(session_cookie_name(settings))
    current = identity.find_session(session, token=token, idle_s=settings.session_idle_s) if token else None
    if current is None or current.user_id != flow.user_id:
        raise Unauthenticated("The session has ended. Sign in again.", code="session_ended")
    linked = oidc.link(session, user_id=current.user_id, claims=claims)
    details = {"identity_id": linked.id, "email": claims.email}
    record_of_person(session, user_id=current.user_id, action="user.identity_linked", details=details)
    return identity.renew_session(session, session_id=current.id, max_s=settings.session_max_s)


def _declined(error: str) -> Forbidden:
    """The provider says that the person, or its rules, did not allow it (RFC 6749 section 4.1.2.1)."""
    return Forbidden(f"The single sign-on was not finished ({error or 'no code came back'}).", code="oidc_declined")
