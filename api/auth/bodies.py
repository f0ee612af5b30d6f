from sqlalchemy.orm import Session

from api.auth.schemas import SessionBody, UserBody, WorkspaceBody
from api.browser import csrf_token
from core.config import Settings
from core.identity import service as identity
from core.workspaces import access, lifecycle
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal


def session_body(session: Session, principal: Principal, settings: Settings) -> SessionBody:
    """Who is asking, what they may do and where else they may go. Needs a system session."""
    here = workspaces.get_workspace(session, workspace_id=principal.workspace_id)
    session_id = principal.session_id
    # a key belongs to one workspace, whoever it acts for
    seats = access.seats_of(session, user_id=principal.user_id) if session_id else []
    others = [seat.workspace for seat in seats if seat.workspace.archived_at is None]
    return SessionBody(
        user=_user_body(session, principal),
        workspace=WorkspaceBody.of(here),
        workspaces=[WorkspaceBody.of(workspace) for workspace in others],
        is_visiting=principal.is_visiting,
        may_create_workspaces=lifecycle.may_create(principal, is_open_to_all=settings.allow_workspace_creation),
        role=principal.role,
        permissions=sorted(principal.permissions),
        csrf_token=csrf_token(settings, session_id=session_id) if session_id else None,
    )


def _user_body(session: Session, principal: Principal) -> UserBody:
    if principal.is_service_account:
        return UserBody(id=principal.user_id, email="", name=principal.display_name)
    user = identity.get_user(session, user_id=principal.user_id)
    return UserBody(id=user.id, email=user.email, name=user.name)
