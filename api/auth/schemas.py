from typing import Literal, Self

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.workspaces.models import Workspace
from core.workspaces.roles import Permission, Role


class SignInBody(RequestBody):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)


class PasswordChangeBody(RequestBody):
    current_password: str = Field(max_length=1000)
    new_password: str = Field(max_length=1000)


class UserBody(ResponseBody):
    id: str
    email: str = Field(description="Empty for a service account.")
    name: str


class WorkspaceBody(ResponseBody):
    id: str
    name: str
    slug: str

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        return cls(id=workspace.id, name=workspace.name, slug=workspace.slug)


class SessionBody(ResponseBody):
    """Who is signed in, and what they may do."""

    object: Literal["session"] = "session"
    user: UserBody
    workspace: WorkspaceBody
    workspaces: list[WorkspaceBody] = Field(description="Where this browser may go; empty for an API key.")
    is_visiting: bool = Field(description="An admin of the installation looks in without being a member.")
    may_create_workspaces: bool
    role: Role
    permissions: list[Permission]
    # null for an API key, which needs none
    csrf_token: str | None


class SignedOutBody(ResponseBody):
    object: Literal["session"] = "session"
    deleted: bool = True


class PasswordChangedBody(ResponseBody):
    object: Literal["password"] = "password"
    changed: bool = True
