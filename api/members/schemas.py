from typing import Literal

from api.schemas import RequestBody, ResponseBody
from core.identity.models import User
from core.kit.clock import unix_s
from core.workspaces.models import Membership
from core.workspaces.roles import Role


class RoleChangeBody(RequestBody):
    role: Role


class MemberBody(ResponseBody):
    """A member's id is the user's."""

    id: str
    object: Literal["member"] = "member"
    email: str
    name: str
    role: Role
    created_at: int


class DeletedMemberBody(ResponseBody):
    id: str
    object: Literal["member"] = "member"
    deleted: bool = True


def member_body(found: tuple[Membership, User]) -> MemberBody:
    membership, user = found
    return MemberBody(
        id=user.id,
        email=user.email,
        name=user.name,
        role=Role(membership.role),
        created_at=unix_s(membership.created_at),
    )
