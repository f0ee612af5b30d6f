"""Helping somebody back in who cannot sign in. Needs a system session."""

from sqlalchemy.orm import Session

from core.errors import Forbidden
from core.identity import service as identity
from core.workspaces import access
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role


def check_may_reset_password(session: Session, *, principal: Principal, user_id: str) -> None:
    """Whoever holds a reset link can become that person: so only somebody who may do all that the person may.

    Raises `NotFound` for who is no member of the principal's workspace, unless the principal runs the installation, and
    `Forbidden` for who runs it, or belongs to a workspace that the principal does not administer.
    """
    if principal.is_installation_admin:
        identity.get_user(session, user_id=user_id)
        return
    _, user = workspaces.get_member(session, workspace_id=principal.workspace_id, user_id=user_id)
    administered = {
        own.workspace_id
        for own in access.principals_of_user(session, user_id=principal.user_id)
        if own.role is Role.ADMIN
    }
    others = {found.workspace_id for found in access.principals_of_user(session, user_id=user_id)}
    if user.is_installation_admin or not others <= administered:
        raise Forbidden(
            "This person may do more than you: they run the installation, or belong to a workspace that is not yours. "
            "Ask who runs the installation.",
            code="person_above_you",
        )
