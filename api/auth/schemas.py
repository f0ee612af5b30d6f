from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.workspaces.roles import Permission, Role


class SignInBody(RequestBody):
    email: str = Field(max_length=254)
    password: str = Field(max_length=1000)


class PasswordChangeBody(RequestBody):
    current_password: str = Field(max_length=1000)
    new_password: str = Field(max_length=1000)


class UserBody(ResponseBody):
    id: str
    email: str
    name: str


class WorkspaceBody(ResponseBody):
    id: str
    name: str
    slug: str


class SessionBody(ResponseBody):
    """Who is signed in, and what they may do."""

    object: Literal["session"] = "session"
    user: UserBody
    workspace: WorkspaceBody
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
