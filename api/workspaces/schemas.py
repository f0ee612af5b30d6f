from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.datasets.files import Storage
from core.kit.clock import unix_s
from core.workspaces.models import Workspace
from core.workspaces.roles import Role
from core.workspaces.types import Seat, WorkspaceSize


class NewWorkspaceBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)
    slug: str | None = Field(
        None, max_length=32, description="A part of the names of its models, so it never changes. Else from the name."
    )


class WorkspaceChangeBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)


class WorkspaceChoiceBody(RequestBody):
    workspace_id: str = Field(max_length=100)


class WorkspaceDetailBody(ResponseBody):
    """On the OpenAI wire, a project."""

    id: str
    object: Literal["workspace"] = "workspace"
    name: str
    slug: str
    role: Role | None = Field(description="What you are there; null for an admin of the installation who is no member.")
    created_at: int
    archived_at: int | None


class AdminWorkspaceBody(ResponseBody):
    id: str
    object: Literal["workspace"] = "workspace"
    name: str
    slug: str
    num_members: int
    created_at: int
    archived_at: int | None
    num_bytes: int = Field(description="What its files take.")
    max_bytes: int | None = Field(description="What they may; null where there is no limit.")
    has_own_max_bytes: bool = Field(description="Whether that was set for it; else it is the installation's.")


def workspace_body(workspace: Workspace, role: Role | None) -> WorkspaceDetailBody:
    return WorkspaceDetailBody(
        id=workspace.id,
        name=workspace.name,
        slug=workspace.slug,
        role=role,
        created_at=unix_s(workspace.created_at),
        archived_at=unix_s(workspace.archived_at) if workspace.archived_at else None,
    )


def seat_body(seat: Seat) -> WorkspaceDetailBody:
    return workspace_body(seat.workspace, seat.role)


def admin_workspace_body(found: WorkspaceSize, storage: Storage) -> AdminWorkspaceBody:
    workspace = found.workspace
    return AdminWorkspaceBody(
        id=workspace.id,
        name=workspace.name,
        slug=workspace.slug,
        num_members=found.num_members,
        created_at=unix_s(workspace.created_at),
        archived_at=unix_s(workspace.archived_at) if workspace.archived_at else None,
        num_bytes=storage.num_bytes,
        max_bytes=storage.max_bytes,
        has_own_max_bytes=workspace.max_stored_bytes is not None,
    )
