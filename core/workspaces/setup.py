"""The first admin of a fresh installation. Needs a system session."""

from sqlalchemy.orm import Session

from core.config import Settings
from core.errors import Conflict, Invalid
from core.identity import service as identity
from core.identity.models import User
from core.workspaces import service as workspaces
from core.workspaces.repository import WorkspaceRepository
from core.workspaces.roles import Role

_MAX_NAME_CHARS = 100


def is_done(session: Session) -> bool:
    return identity.has_users(session)


def link(session: Session, *, settings: Settings) -> str | None:
    """The page that makes the first admin, for whoever started the installation; None if there is one.

    The token stands behind the #, which browsers send to no server and into no log.
    """
    if settings.setup_token is None or is_done(session):
        return None
    return f"{settings.public_url.rstrip('/')}/setup#{settings.setup_token}"


def set_up(session: Session, *, workspace_name: str, email: str, name: str, password: str) -> User:
    """Make the first person, who runs the installation, and their workspace. Raises `Conflict` but for the first.

    Who may do it is the caller's business. Two at once make one admin.
    """
    WorkspaceRepository(session).lock_creation()
    if is_done(session):
        raise Conflict(
            "This installation has its admin already. Sign in, or ask an admin to invite you.", code="already_set_up"
        )
    workspace_name = workspace_name.strip()
    if not 1 <= len(workspace_name) <= _MAX_NAME_CHARS:
        raise Invalid(
            f"Give the workspace a name of 1 to {_MAX_NAME_CHARS} characters.",
            code="invalid_name",
            param="workspace_name",
        )
    workspace = workspaces.ensure_default_workspace(session)
    workspace.name = workspace_name
    user = identity.create_user(session, email=email, name=name, password=password)
    workspaces.add_member(session, workspace_id=workspace.id, user_id=user.id, role=Role.ADMIN)
    return identity.make_installation_admin(session, user_id=user.id)
