"""What a person sees and changes of their own account. For people in a browser; an API key has no profile."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.orm import Session

from api.auth.oidc_routes import PROFILE_PATH, started
from api.auth.proof import check_password
from api.auth.schemas import OidcStartedBody
from api.browser import delete_session_cookie
from api.dependencies import DatabaseDep, OidcProviderDep, SettingsDep, browser_session, require
from api.pagination import ListBody, list_body
from api.profile.schemas import (
    BrowserSessionBody,
    DeletedIdentityBody,
    DeletedSessionBody,
    DeletedSessionsBody,
    NewIdentityBody,
    ProfileBody,
    ProfileChangeBody,
    TotpBody,
    browser_session_body,
    identity_body,
)
from api.retries import RetriedRoute
from core.audit.people import record_of_person
from core.db.session import SYSTEM
from core.identity import service as identity
from core.identity.oidc import service as oidc
from core.identity.oidc.provider import OidcProvider
from core.identity.totp import service as totp
from core.kit.pagination import Page
from core.workspaces.principal import Principal

router = APIRouter(tags=["profile"], route_class=RetriedRoute)

PersonDep = Annotated[Principal, Depends(require())]


@router.get("/v1/profile")
def get_profile(principal: PersonDep, database: DatabaseDep, provider: OidcProviderDep) -> ProfileBody:
    browser_session(principal)
    with database.session(SYSTEM) as session:
        return _profile_body(session, principal, provider)


@router.patch("/v1/profile")
def change_profile(
    body: ProfileChangeBody, principal: PersonDep, database: DatabaseDep, provider: OidcProviderDep
) -> ProfileBody:
    browser_session(principal)
    with database.session(SYSTEM) as session:
        identity.rename_user(session, user_id=principal.user_id, name=body.name)
        record_of_person(session, user_id=principal.user_id, action="user.renamed")
        return _profile_body(session, principal, provider)


@router.get("/v1/profile/sessions")
def list_sessions(principal: PersonDep, database: DatabaseDep, settings: SettingsDep) -> ListBody[BrowserSessionBody]:
    """Where you are signed in; the latest used first."""
    current_id = browser_session(principal)
    with database.session(SYSTEM) as session:
        found = identity.list_sessions(session, user_id=principal.user_id, idle_s=settings.session_idle_s)
    return list_body(Page(items=found, has_more=False), lambda item: browser_session_body(item, current_id=current_id))


@router.delete("/v1/profile/sessions/{session_id}")
def revoke_session(
    session_id: str, response: Response, principal: PersonDep, database: DatabaseDep, settings: SettingsDep
) -> DeletedSessionBody:
    """Sign one browser out."""
    with database.session(SYSTEM) as session:
        identity.revoke_session(session, user_id=principal.user_id, session_id=session_id)
        current_id = browser_session(principal)
        details = {"session_id": session_id}
        record_of_person(session, user_id=principal.user_id, action="user.session_revoked", details=details)
    if session_id == current_id:
        delete_session_cookie(response, settings)
    return DeletedSessionBody(id=session_id)


@router.delete("/v1/profile/sessions")
def revoke_other_sessions(principal: PersonDep, database: DatabaseDep) -> DeletedSessionsBody:
    """Sign every other browser out."""
    current_id = browser_session(principal)
    with database.session(SYSTEM) as session:
        num = identity.end_sessions_of(session, user_id=principal.user_id, except_id=current_id)
        details = {"num_sessions": num}
        record_of_person(session, user_id=principal.user_id, action="user.sessions_revoked", details=details)
    return DeletedSessionsBody(num_deleted=num)


@router.post("/v1/profile/identities")
def link_identity(
    body: NewIdentityBody,
    request: Request,
    response: Response,
    principal: PersonDep,
    settings: SettingsDep,
    database: DatabaseDep,
    provider: OidcProviderDep,
) -> OidcStartedBody:
    """Begin to link the single sign-on to your account: says where the browser must go."""
    browser_session(principal)
    with database.session(SYSTEM) as session:
        has_password = identity.get_user(session, user_id=principal.user_id).password_hash is not None
    if has_password:
        check_password(request, database, principal, password=body.password or "")
    return started(provider, database, settings, response, return_to=PROFILE_PATH, user_id=principal.user_id)


@router.delete("/v1/profile/identities/{identity_id}")
def unlink_identity(identity_id: str, principal: PersonDep, database: DatabaseDep) -> DeletedIdentityBody:
    with database.session(SYSTEM) as session:
        found = oidc.unlink(session, user_id=principal.user_id, identity_id=identity_id)
        browser_session(principal)
        details = {"identity_id": identity_id, "email": found.email}
        record_of_person(session, user_id=principal.user_id, action="user.identity_unlinked", details=details)
    return DeletedIdentityBody(id=identity_id)


def _profile_body(session: Session, principal: Principal, provider: OidcProvider) -> ProfileBody:
    user = identity.get_user(session, user_id=principal.user_id)
    return ProfileBody(
        id=user.id,
        email=user.email,
        name=user.name,
        has_password=user.password_hash is not None,
        totp=TotpBody(
            is_on=totp.is_on(session, user_id=user.id),
            num_recovery_codes=totp.count_recovery_codes(session, user_id=user.id),
        ),
        identities=[identity_body(found) for found in oidc.list_identities(session, user_id=user.id)],
        oidc_name=provider.name if provider.is_configured else None,
    )
