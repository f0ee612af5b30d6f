"""Whom a key or a browser acts for, and where."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.db.session import Database
from core.errors import Forbidden, NotFound, Unauthenticated
from core.identity import service as identity
from core.identity.models import User, UserSession
from core.kit.hashing import sha256_bytes
from core.workspaces import api_keys
from core.workspaces.principal import Principal
from core.workspaces.repository import KeyFinder, WorkspaceRepository
from core.workspaces.roles import Permission, Role, lesser
from core.workspaces.types import Seat


@dataclass(frozen=True, slots=True)
class KeyCaller:
    principal: Principal
    # the time of its last use is old enough to be noted anew
    is_use_stale: bool


def caller_of_key(database: Database, *, secret: str) -> KeyCaller | None:
    """Who an API key acts for, with the lesser of its role and its owner's today; None for what is no key here.

    One message to the database, and none for noise. Raises `Unauthenticated` (`api_key_expired`) for a secret that was
    right: only who has it is told.
    """
    if not api_keys.is_well_formed(secret):
        return None
    key = KeyFinder(database).find(sha256_bytes(secret.encode()))
    if key is None:
        return None
    if key.is_expired:
        raise Unauthenticated(
            "This API key has expired, or was replaced by a newer one. Make or copy another under Settings, API keys.",
            code="api_key_expired",
        )
    role = lesser(key.key_role, key.owner_role)
    principal = Principal(
        workspace_id=key.workspace_id,
        user_id=key.owner_id,
        role=role,
        display_name=f"{key.owner_name} ({key.key_name})",
        api_key_id=key.key_id,
        is_installation_admin=key.is_installation_admin and role is Role.ADMIN,
        scopes=key.scopes,
        is_service_account=key.is_service_account,
    )
    return KeyCaller(principal, key.is_use_stale)


def note_key_use(session: Session, *, key_id: str) -> None:
    """Needs a system session."""
    WorkspaceRepository(session).note_key_use(key_id)


def principal_of_session(
    session: Session, *, user_session: UserSession, workspace_id: str | None = None
) -> Principal | None:
    """Who a browser acts for: in the workspace that is asked for, else the chosen one, else the oldest of theirs.

    None where the person has no seat in what is asked for, or in no workspace at all. Needs a system session.
    """
    user = identity.get_user(session, user_id=user_session.user_id)
    seats = [seat for seat in seats_of(session, user_id=user.id) if seat.workspace.archived_at is None]
    wanted = workspace_id or user_session.current_workspace_id
    seat = next((seat for seat in seats if seat.workspace.id == wanted), None)
    is_visiting = seat is None and wanted is not None and _may_visit(session, user, user_session, wanted)
    if seat is None and workspace_id is None and seats and not is_visiting:
        seat = seats[0]
    if seat is None and not is_visiting:
        return None
    return Principal(
        workspace_id=seat.workspace.id if seat else wanted or "",
        user_id=user.id,
        role=seat.role if seat else Role.ADMIN,
        display_name=user.name,
        session_id=user_session.id,
        is_installation_admin=user.is_installation_admin,
        is_visiting=is_visiting,
    )


def principals_of_user(session: Session, *, user_id: str) -> list[Principal]:
    """Somebody in each workspace that they belong to, archived or not. Needs a system session."""
    user = identity.get_user(session, user_id=user_id)
    return [
        Principal(
            workspace_id=membership.workspace_id,
            user_id=user.id,
            role=Role(membership.role),
            display_name=user.name,
            is_installation_admin=user.is_installation_admin,
        )
        for membership in WorkspaceRepository(session).memberships_of(user_id)
    ]


def seats_of(session: Session, *, user_id: str) -> list[Seat]:
    """Where a person may go, and what they may restore. Needs a system session."""
    return WorkspaceRepository(session).seats_of(user_id)


def reachable(session: Session, *, principal: Principal) -> list[Seat]:
    """Where the principal may go: all of a person's, in a browser; the one of an API key. Needs a system session."""
    if principal.session_id is None:
        workspace = WorkspaceRepository(session).get(principal.workspace_id)
        return [Seat(workspace, principal.role)] if workspace else []
    return seats_of(session, user_id=principal.user_id)


def get_reachable(session: Session, *, principal: Principal, workspace_id: str) -> Seat:
    """One of those, or the one they visit. Raises `NotFound`."""
    for seat in reachable(session, principal=principal):
        if seat.workspace.id == workspace_id:
            return seat
    visited = WorkspaceRepository(session).get(workspace_id) if principal.workspace_id == workspace_id else None
    if visited is None:
        raise no_workspace(workspace_id)
    return Seat(visited, principal.role)


def enter(session: Session, *, principal: Principal, workspace_id: str) -> Principal:
    """Let the principal's browser look at another workspace from now on. Needs a system session.

    Raises `NotFound` unless they are a member of it; an admin of the installation may look into every one, and the
    caller must then record the visit there (`is_visiting`).
    """
    seats = reachable(session, principal=principal)
    seat = next((seat for seat in seats if seat.workspace.id == workspace_id), None)
    found = seat.workspace if seat else WorkspaceRepository(session).get(workspace_id)
    is_visiting = seat is None and principal.may(Permission.INSTALLATION_ADMIN)
    if found is None or found.archived_at is not None or not (seat or is_visiting):
        raise no_workspace(workspace_id)
    if principal.session_id is None:
        raise Forbidden("An API key belongs to one workspace. Make a key in the other one.", code="browser_only")
    identity.choose_workspace(session, session_id=principal.session_id, workspace_id=workspace_id)
    return Principal(
        workspace_id=workspace_id,
        user_id=principal.user_id,
        role=seat.role if seat else Role.ADMIN,
        display_name=principal.display_name,
        session_id=principal.session_id,
        is_installation_admin=principal.is_installation_admin,
        is_visiting=is_visiting,
    )


def no_workspace(workspace_id: str) -> NotFound:
    """The same for one that is not there and one that is not theirs."""
    return NotFound(f"There is no workspace {workspace_id} that you may enter.", code="workspace_not_found")


def _may_visit(session: Session, user: User, user_session: UserSession, workspace_id: str) -> bool:
    """Only where they entered, which was recorded; a request alone opens nothing."""
    if not user.is_installation_admin or user_session.current_workspace_id != workspace_id:
        return False
    found = WorkspaceRepository(session).get(workspace_id)
    return found is not None and found.archived_at is None
