"""Workspaces come and go: made, renamed, archived, restored. All needs a system session."""

import re
import secrets
import unicodedata

from sqlalchemy.orm import Session

from core.errors import Conflict, Forbidden, Invalid
from core.kit.pagination import Page, PageRequest
from core.workspaces import service
from core.workspaces.access import no_workspace, seats_of
from core.workspaces.models import Workspace
from core.workspaces.principal import Principal
from core.workspaces.repository import WorkspaceRepository
from core.workspaces.roles import Permission, Role
from core.workspaces.types import WorkspaceSize

_MAX_NAME_CHARS = 100
_MAX_SLUG_CHARS = 32
# a part of `ft:base:slug:suffix:tail`
_SLUG = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{_MAX_SLUG_CHARS - 2}}}[a-z0-9])?")
_NUM_TAIL_BYTES = 2


def may_create(principal: Principal, *, is_open_to_all: bool) -> bool:
    """Admins of the installation always; others in a browser, where the installation allows it."""
    return principal.may(Permission.INSTALLATION_ADMIN) or (is_open_to_all and principal.session_id is not None)


def create(session: Session, *, principal: Principal, name: str, slug: str | None, is_open_to_all: bool) -> Workspace:
    """A workspace whose admin is the principal's person.

    Raises `Forbidden` (`workspace_creation_closed`), `Invalid` (`invalid_name`, `invalid_slug`), `Conflict`
    (`slug_taken`).
    """
    if not may_create(principal, is_open_to_all=is_open_to_all):
        raise Forbidden(
            "Only an admin of the installation makes workspaces here. Ask one of them.",
            code="workspace_creation_closed",
        )
    name = _proper_name(name)
    if slug is not None and not _SLUG.fullmatch(slug):
        raise Invalid(
            f"A short name has 1 to {_MAX_SLUG_CHARS} small letters, digits and inner dashes: it is a part of your "
            "models' names.",
            code="invalid_slug",
            param="slug",
        )
    made = service.create_workspace(session, name=name, slug=slug or _free_slug(session, name))
    service.add_member(session, workspace_id=made.id, user_id=principal.user_id, role=Role.ADMIN)
    session.refresh(made)
    return made


def rename(session: Session, *, principal: Principal, workspace_id: str, name: str) -> Workspace:
    """Raises `NotFound` unless the principal is in it: what is changed is what one looks at."""
    found = _entered(session, principal, workspace_id)
    found.name = _proper_name(name)
    session.flush()
    return found


def archive(session: Session, *, principal: Principal, workspace_id: str) -> Workspace:
    """Let nobody in any more; what it holds stays, and what is at work there ends as it would.

    Raises `Conflict` (`last_workspace`) for the only one that the principal could be in.
    """
    found = _entered(session, principal, workspace_id)
    others = [
        seat
        for seat in seats_of(session, user_id=principal.user_id)
        if seat.workspace.id != workspace_id and seat.workspace.archived_at is None
    ]
    if not others:
        raise Conflict(
            "You belong to no other workspace, so you could not take this back. Join or make another one first.",
            code="last_workspace",
        )
    WorkspaceRepository(session).set_archived(found, is_archived=True)
    return found


def restore(session: Session, *, principal: Principal, workspace_id: str) -> Workspace:
    """Open an archived workspace again: its admins may, and those of the installation, from any other one.

    Raises `NotFound` for others; restoring what is not archived changes nothing.
    """
    is_above = principal.may(Permission.INSTALLATION_ADMIN)
    if principal.session_id is None and not is_above:
        raise no_workspace(workspace_id)
    is_theirs = any(
        seat.workspace.id == workspace_id and seat.role is Role.ADMIN
        for seat in seats_of(session, user_id=principal.user_id)
    )
    found = WorkspaceRepository(session).get(workspace_id)
    if found is None or not (is_theirs or is_above):
        raise no_workspace(workspace_id)
    if found.archived_at is not None:
        WorkspaceRepository(session).set_archived(found, is_archived=False)
    return found


def list_all(session: Session, *, page: PageRequest) -> Page[WorkspaceSize]:
    """Every workspace of the installation with the number of its people, newest first."""
    return WorkspaceRepository(session).sizes(page)


def _entered(session: Session, principal: Principal, workspace_id: str) -> Workspace:
    if principal.workspace_id != workspace_id:
        raise no_workspace(workspace_id)
    return service.get_workspace(session, workspace_id=workspace_id)


def _proper_name(name: str) -> str:
    name = " ".join(name.split())
    if not 1 <= len(name) <= _MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(
            f"Give the workspace a name of 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name"
        )
    return name


def _free_slug(session: Session, name: str) -> str:
    """From the name; with a random tail where that is taken or nothing of it is left."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", name) if not unicodedata.combining(char))
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[: _MAX_SLUG_CHARS - 2 * _NUM_TAIL_BYTES - 1].strip("-")
    workspaces = WorkspaceRepository(session)
    if slug and workspaces.by_slug(slug) is None:
        return slug
    return f"{slug or 'team'}-{secrets.token_hex(_NUM_TAIL_BYTES)}"
