"""Seats that are offered to an address.

Whoever has the link takes the seat, so it is worth as much as a password: it works once and for a week, and only its
sha256 is kept. It goes by mail where mail is set up, and always to whoever invites, to pass on. Nothing in an answer to
who invites depends on whether the address has an account here.
"""

import secrets
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.backends.mail import Mail, Mailer
from core.db.session import after_commit
from core.errors import Conflict, Forbidden, NotFound
from core.identity import service as identity
from core.identity.models import User
from core.kit.hashing import sha256_bytes
from core.kit.pagination import Page, PageRequest
from core.workspaces import service as workspaces
from core.workspaces.invitations.repository import InvitationRepository, OpenInvitationRepository
from core.workspaces.models import Invitation, Workspace
from core.workspaces.principal import Principal
from core.workspaces.repository import MembershipRepository
from core.workspaces.roles import Role, lesser

VALID_S = 7 * 24 * 3600
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Post:
    """How a link gets to people: the address of the page, and the mail."""

    public_url: str
    mail: Mailer


@dataclass(frozen=True, slots=True)
class SentInvitation:
    """An invitation with its link, which is shown once and never stored."""

    invitation: Invitation
    link: str
    is_mailed: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link is good for."""

    invitation: Invitation
    workspace: Workspace


def list_open(session: Session, *, workspace_id: str, page: PageRequest) -> Page[Invitation]:
    """Those that are neither accepted nor taken back, newest first; expired ones too, to be sent again."""
    return InvitationRepository(session, workspace_id).page(page)


def invite(
    session: Session, *, principal: Principal, email: str, role: Role, post: Post, max_members: int = 0
) -> SentInvitation:
    """Offer a seat, and mail the link after the commit.

    Raises `Forbidden` (`role_too_high`), and `Conflict` for an address that is a member (`already_member`) or has an
    open invitation (`already_invited`) here, and where all seats are taken or offered (`too_many_members`).
    """
    address = identity.normal_email(email)
    if lesser(role, principal.role) is not role:
        raise Forbidden(
            f"Your role here is {principal.role}, so that you cannot invite somebody with the role {role}.",
            code="role_too_high",
            param="role",
        )
    if MembershipRepository(session, principal.workspace_id).has_email(address):
        raise Conflict(f"{address} is a member already.", code="already_member", param="email")
    invitations = InvitationRepository(session, principal.workspace_id)
    if invitations.of_email(address):
        raise Conflict(
            f"{address} is invited already. Send that invitation again, or take it back first.",
            code="already_invited",
            param="email",
        )
    workspaces.check_seats(
        session,
        workspace_id=principal.workspace_id,
        max_members=max_members,
        num_offered=invitations.num_open(),
    )
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    invitation = invitations.add(
        email=address,
        role=role,
        token_sha256=sha256_bytes(token.encode()),
        invited_by=principal.user_id,
        inviter_name=principal.display_name,
        valid_s=VALID_S,
    )
    return _sent(session, invitation, token, post)


def resend(session: Session, *, workspace_id: str, invitation_id: str, post: Post) -> SentInvitation:
    """A new link for another week; the old one opens nothing any more."""
    invitation = _open(session, workspace_id, invitation_id)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    InvitationRepository(session, workspace_id).renew(
        invitation, token_sha256=sha256_bytes(token.encode()), valid_s=VALID_S
    )
    return _sent(session, invitation, token, post)


def revoke(session: Session, *, workspace_id: str, invitation_id: str) -> Invitation:
    invitation = _open(session, workspace_id, invitation_id)
    InvitationRepository(session, workspace_id).revoke(invitation_id)
    return invitation


def look_up(session: Session, *, token: str) -> Offer:
    """What a link offers. Raises `NotFound` for one that opens nothing. Needs a system session."""
    return _offer(session, token, is_locked=False)


def accept(session: Session, *, token: str, user: User) -> Offer:
    """Take the seat as somebody who has proved who they are. Needs a system session.

    Raises `Forbidden` (`invitation_for_another`) unless it was offered to their address.
    """
    offer = _offer(session, token, is_locked=True)
    if offer.invitation.email != user.email:
        raise Forbidden(
            f"This invitation is for {offer.invitation.email}, and you are signed in as {user.email}. "
            "Sign in with that address, or ask for an invitation to yours.",
            code="invitation_for_another",
        )
    _seat(session, offer, user)
    return offer


def accept_all(session: Session, *, user: User) -> list[Offer]:
    """Take every seat that is offered to the address of somebody who has proved that it is theirs.

    Needs a system session.
    """
    offers = [Offer(*found) for found in OpenInvitationRepository(session).of_email(user.email)]
    for offer in offers:
        _seat(session, offer, user)
    return offers


def accept_as_new(session: Session, *, token: str, name: str, password: str) -> tuple[Offer, User]:
    """Take the seat as somebody new, with this password. Needs a system session.

    Raises `Conflict` (`sign_in_to_accept`) for an address that has an account: its password is nobody else's to set.
    """
    offer = _offer(session, token, is_locked=True)
    if identity.find_user(session, email=offer.invitation.email):
        raise Conflict(f"Sign in as {offer.invitation.email} to accept this invitation.", code="sign_in_to_accept")
    user = identity.create_user(session, email=offer.invitation.email, name=name, password=password)
    _seat(session, offer, user)
    return offer, user


def _seat(session: Session, offer: Offer, user: User) -> None:
    invitation = offer.invitation
    if MembershipRepository(session, invitation.workspace_id).get(user.id) is None:
        workspaces.add_member(
            session, workspace_id=invitation.workspace_id, user_id=user.id, role=Role(invitation.role)
        )
    OpenInvitationRepository(session).accept(invitation)


def _offer(session: Session, token: str, *, is_locked: bool) -> Offer:
    found = OpenInvitationRepository(session).by_token(sha256_bytes(token.encode()), is_locked=is_locked)
    if found is None:
        raise NotFound(
            "This invitation is not valid any more: it was used, taken back, replaced by a newer one, or has expired. "
            "Ask whoever invited you for another.",
            code="invitation_not_valid",
        )
    return Offer(*found)


def _open(session: Session, workspace_id: str, invitation_id: str) -> Invitation:
    invitation = InvitationRepository(session, workspace_id).get(invitation_id)
    if invitation is None:
        raise NotFound(f"There is no open invitation {invitation_id} in this workspace.", code="invitation_not_found")
    return invitation


def _sent(session: Session, invitation: Invitation, token: str, post: Post) -> SentInvitation:
    link = f"{post.public_url.rstrip('/')}/join?token={token}"
    workspace = workspaces.get_workspace(session, workspace_id=invitation.workspace_id)
    inviter = " ".join(invitation.inviter_name.split())
    mail = Mail(
        to=invitation.email,
        subject=f"{inviter} invites you to {workspace.name} on Tailorbird",
        text=(
            f"{inviter} invites you to work in {workspace.name} on Tailorbird, with the role {invitation.role}.\n\n"
            f"Accept the invitation here, within a week:\n{link}\n\n"
            "The link works once. If you did not expect it, ignore this message.\n"
        ),
    )
    after_commit(session, lambda: post.mail.send(mail))
    return SentInvitation(invitation=invitation, link=link, is_mailed=post.mail.is_configured)
