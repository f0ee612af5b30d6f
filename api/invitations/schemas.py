from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.kit.clock import unix_s, utc_now
from core.workspaces.invitations.service import Offer, SentInvitation
from core.workspaces.models import Invitation
from core.workspaces.roles import Role

_Token = Field(min_length=1, max_length=200, description="What stands behind `token=` in the link.")


class NewInvitationBody(RequestBody):
    email: str = Field(max_length=254)
    role: Role = Role.MEMBER


class TokenBody(RequestBody):
    token: str = _Token


class NewcomerBody(RequestBody):
    token: str = _Token
    name: str = Field(min_length=1, max_length=100)
    password: str = Field(max_length=1000)


class InvitationBody(ResponseBody):
    id: str
    object: Literal["invitation"] = "invitation"
    email: str
    role: Role
    created_at: int
    expires_at: int
    is_expired: bool
    invited_by: str
    inviter_name: str


class SentInvitationBody(InvitationBody):
    link: str = Field(description="Opens the seat once. It is shown this once and stored nowhere: pass it on.")
    is_mailed: bool = Field(description="Whether it also goes out by mail; false where no mail server is set.")


class DeletedInvitationBody(ResponseBody):
    id: str
    object: Literal["invitation"] = "invitation"
    deleted: bool = True


class OfferBody(ResponseBody):
    """What a link is good for."""

    object: Literal["invitation.offer"] = "invitation.offer"
    workspace_name: str
    email: str
    role: Role
    inviter_name: str
    expires_at: int


def invitation_body(invitation: Invitation) -> InvitationBody:
    return InvitationBody(
        id=invitation.id,
        email=invitation.email,
        role=Role(invitation.role),
        created_at=unix_s(invitation.created_at),
        expires_at=unix_s(invitation.expires_at),
        is_expired=invitation.expires_at <= utc_now(),
        invited_by=invitation.invited_by,
        inviter_name=invitation.inviter_name,
    )


def sent_body(sent: SentInvitation) -> SentInvitationBody:
    return SentInvitationBody(**invitation_body(sent.invitation).model_dump(), link=sent.link, is_mailed=sent.is_mailed)


def offer_body(offer: Offer) -> OfferBody:
    return OfferBody(
        workspace_name=offer.workspace.name,
        email=offer.invitation.email,
        role=Role(offer.invitation.role),
        inviter_name=offer.invitation.inviter_name,
        expires_at=unix_s(offer.invitation.expires_at),
    )
