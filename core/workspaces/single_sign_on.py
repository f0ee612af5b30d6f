"""Who may come in by the single sign-on, and as whom. Needs a system session.

A known identity signs in whose it is. An unknown one is never handed an account by its address alone: whoever has one
links it from within. Somebody new comes in by an invitation or by a domain that is allowed, and else not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.config import Settings
from core.errors import Conflict, Forbidden
from core.identity import service as identity
from core.identity.models import User
from core.identity.oidc import service as oidc
from core.identity.oidc.provider import Claims
from core.workspaces import access
from core.workspaces import service as workspaces
from core.workspaces.invitations import service as invitations
from core.workspaces.invitations.service import Offer
from core.workspaces.roles import Role

_MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who has come, and how they came by a seat if they had none."""

    user: User
    accepted: Sequence[Offer] = ()
    joined_by_domain: str | None = None


def arrive(session: Session, *, claims: Claims, settings: Settings) -> Arrival:
    """The person that the claims sign in. Raises `Forbidden` or `Conflict`, with what to do instead."""
    known = oidc.find_person(session, claims=claims)
    if known is not None:
        return Arrival(known, accepted=_back_in(session, known, claims))
    if claims.email is None:
        raise Forbidden(
            "The single sign-on knows no verified e-mail address of yours. Have it verified there, or sign in here "
            "with a password and link it under Settings, Profile.",
            code="oidc_email_unverified",
        )
    email = identity.normal_email(claims.email)
    if identity.find_user(session, email=email) is not None:
        raise Conflict(
            f"There is an account with the address {email}, and the single sign-on is not linked to it. Sign in with "
            "its password, then link it under Settings, Profile.",
            code="oidc_not_linked",
        )
    user = identity.create_user(session, email=email, name=claims.name[:_MAX_NAME_CHARS], password=None)
    oidc.link(session, user_id=user.id, claims=claims)
    accepted = invitations.accept_all(session, user=user)
    domain = email.rpartition("@")[2]
    if accepted:
        return Arrival(user, accepted=accepted)
    if domain not in settings.auto_join_domains:
        raise Forbidden(
            f"Nobody has invited {email} yet. Ask an admin of your workspace for an invitation.",
            code="oidc_not_invited",
        )
    workspace = workspaces.ensure_default_workspace(session)
    workspaces.check_seats(session, workspace_id=workspace.id, max_members=settings.max_members_per_workspace)
    workspaces.add_member(session, workspace_id=workspace.id, user_id=user.id, role=Role(settings.oidc_auto_join_role))
    return Arrival(user, joined_by_domain=domain)


def _back_in(session: Session, user: User, claims: Claims) -> Sequence[Offer]:
    """Who has left every workspace could not sign in to accept an invitation: it is accepted for them."""
    is_theirs = claims.email is not None and identity.normal_email(claims.email) == user.email
    if not is_theirs or access.seats_of(session, user_id=user.id):
        return ()
    return invitations.accept_all(session, user=user)
