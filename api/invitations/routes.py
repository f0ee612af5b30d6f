from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from api.auth.accepted import record_accepted
from api.auth.bodies import session_body
from api.auth.schemas import SessionBody
from api.browser import browser_of, check_origin, set_session_cookie
from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, browser_session, require
from api.invitations.schemas import (
    DeletedInvitationBody,
    InvitationBody,
    NewcomerBody,
    NewInvitationBody,
    OfferBody,
    SentInvitationBody,
    TokenBody,
    invitation_body,
    offer_body,
    sent_body,
)
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.audit import service as audit
from core.db.session import SYSTEM
from core.identity import service as identity
from core.workspaces import access
from core.workspaces.invitations import service as invitations
from core.workspaces.invitations.service import Post
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["invitations"], route_class=RetriedRoute)

SignedInDep = Annotated[Principal, Depends(require())]
ManagerDep = Annotated[Principal, Depends(require(Permission.MEMBERS_MANAGE))]


def _post(settings: SettingsDep, backends: BackendsDep) -> Post:
    return Post(public_url=settings.public_url, mail=backends.mail)


PostDep = Annotated[Post, Depends(_post)]


@router.get("/v1/invitations")
def list_invitations(principal: ManagerDep, session: SessionDep, page: PageDep) -> ListBody[InvitationBody]:
    """Seats that are offered and not taken, newest first."""
    return list_body(invitations.list_open(session, workspace_id=principal.workspace_id, page=page), invitation_body)


# not deduplicated: the kept answer would hold the link in clear
@router.post("/v1/invitations")
def create_invitation(
    body: NewInvitationBody, principal: ManagerDep, session: SessionDep, settings: SettingsDep, post: PostDep
) -> SentInvitationBody:
    """Offer a seat in this workspace. The link is in this answer, and goes by mail where mail is set up."""
    sent = invitations.invite(
        session,
        principal=principal,
        email=body.email,
        role=body.role,
        post=post,
        max_members=settings.max_members_per_workspace,
    )
    audit.record(
        session,
        principal=principal,
        action="invitation.created",
        target_id=sent.invitation.id,
        details={"email": sent.invitation.email, "role": sent.invitation.role},
    )
    return sent_body(sent)


@router.post("/v1/invitations/{invitation_id}/resend")
def resend_invitation(
    invitation_id: str, principal: ManagerDep, session: SessionDep, post: PostDep
) -> SentInvitationBody:
    """Another link for another week; the one before opens nothing any more."""
    sent = invitations.resend(session, workspace_id=principal.workspace_id, invitation_id=invitation_id, post=post)
    audit.record(
        session,
        principal=principal,
        action="invitation.resent",
        target_id=invitation_id,
        details={"email": sent.invitation.email},
    )
    return sent_body(sent)


@router.delete("/v1/invitations/{invitation_id}")
def revoke_invitation(invitation_id: str, principal: ManagerDep, session: SessionDep) -> DeletedInvitationBody:
    """Take an offer back: its link opens nothing any more."""
    found = invitations.revoke(session, workspace_id=principal.workspace_id, invitation_id=invitation_id)
    audit.record(
        session,
        principal=principal,
        action="invitation.revoked",
        target_id=invitation_id,
        details={"email": found.email},
    )
    return DeletedInvitationBody(id=invitation_id)


# a POST, so that the token is in no address that somebody logs
@router.post("/v1/invitations/lookup")
def look_up_invitation(body: TokenBody, database: DatabaseDep) -> OfferBody:
    """What a link offers, for whoever has it. Says nothing about accounts."""
    with database.session(SYSTEM) as session:
        return offer_body(invitations.look_up(session, token=body.token))


@router.post("/v1/invitations/accept")
def accept_invitation(
    body: NewcomerBody, request: Request, response: Response, settings: SettingsDep, database: DatabaseDep
) -> SessionBody:
    """Take the seat as somebody new, who is then signed in. Who has an account signs in and uses `…/join`."""
    check_origin(request, settings)
    with database.session(SYSTEM) as session:
        offer, user = invitations.accept_as_new(session, token=body.token, name=body.name, password=body.password)
        opened = identity.open_session(
            session, user_id=user.id, max_s=settings.session_max_s, browser=browser_of(request)
        )
        principal = access.principal_of_session(session, user_session=opened.session, workspace_id=offer.workspace.id)
        if principal is None:
            raise AssertionError
        record_accepted(session, user_id=user.id, offer=offer)
        answer = session_body(session, principal, settings)
    set_session_cookie(response, settings, token=opened.token)
    return answer


@router.post("/v1/invitations/join")
def join(
    body: TokenBody, response: Response, principal: SignedInDep, settings: SettingsDep, database: DatabaseDep
) -> SessionBody:
    """Take the seat as who is signed in; this browser then looks at the new workspace."""
    session_id = browser_session(principal)
    with database.session(SYSTEM) as session:
        user = identity.get_user(session, user_id=principal.user_id)
        offer = invitations.accept(session, token=body.token, user=user)
        record_accepted(session, user_id=user.id, offer=offer)
        # who may do more than before goes on under another session
        renewed = identity.renew_session(session, session_id=session_id, max_s=settings.session_max_s)
        renewed_principal = replace(principal, session_id=renewed.session.id)
        entered = access.enter(session, principal=renewed_principal, workspace_id=offer.workspace.id)
        answer = session_body(session, entered, settings)
    set_session_cookie(response, settings, token=renewed.token)
    return answer
