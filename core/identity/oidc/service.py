"""Identities at the OpenID provider, and whose they are here. Works in a system session."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.errors import Conflict, NotFound
from core.identity import service as identity
from core.identity.models import LinkedIdentity, User
from core.identity.oidc.provider import Claims
from core.identity.oidc.repository import LinkedIdentityRepository


def find_person(session: Session, *, claims: Claims) -> User | None:
    """Whose identity this is, and note that it was used. Never found by the address, which may change hands."""
    identities = LinkedIdentityRepository(session)
    found = identities.by_subject(issuer=claims.issuer, subject=claims.subject)
    if found is None:
        return None
    identities.note_use(found, email=claims.email)
    return identity.get_user(session, user_id=found.user_id)


def list_identities(session: Session, *, user_id: str) -> Sequence[LinkedIdentity]:
    return LinkedIdentityRepository(session).of_user(user_id)


def link(session: Session, *, user_id: str, claims: Claims) -> LinkedIdentity:
    """From now on, this identity signs this person in. Raises `Conflict` if it signs in somebody else."""
    identities = LinkedIdentityRepository(session)
    found = identities.by_subject(issuer=claims.issuer, subject=claims.subject)
    if found is not None and found.user_id != user_id:
        raise Conflict(
            "This identity signs in somebody else here. Unlink it there first, or sign in with another one.",
            code="identity_taken",
        )
    return found or identities.add(user_id=user_id, issuer=claims.issuer, subject=claims.subject, email=claims.email)


def unlink(session: Session, *, user_id: str, identity_id: str) -> LinkedIdentity:
    """Raises `Conflict` for the only way in that a person has."""
    identities = LinkedIdentityRepository(session)
    own = identities.of_user(user_id)
    found = next((item for item in own if item.id == identity_id), None)
    if found is None:
        raise NotFound(f"There is no identity {identity_id} of yours.", code="identity_not_found")
    if len(own) == 1 and identity.get_user(session, user_id=user_id).password_hash is None:
        raise Conflict(
            "You could not sign in any more: you have no password here. Ask for a reset link to set one first.",
            code="only_way_in",
        )
    identities.remove(found)
    return found
