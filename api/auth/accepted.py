"""An invitation is accepted from its page, at the sign-in, or by a verified address: the log says the same of each."""

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.workspaces import access
from core.workspaces.invitations.service import Offer


def record_accepted(session: Session, *, user_id: str, offer: Offer) -> None:
    """In the log of the workspace that somebody has just joined. Needs a system session."""
    invitation = offer.invitation
    principal = next(
        found
        for found in access.principals_of_user(session, user_id=user_id)
        if found.workspace_id == invitation.workspace_id
    )
    details = {"email": invitation.email, "role": invitation.role}
    audit.record(session, principal=principal, action="invitation.accepted", target_id=invitation.id, details=details)
