from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.kit.clock import unix_s
from core.workspaces.models import ServiceAccount
from core.workspaces.roles import Role


class NewServiceAccountBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)
    role: Role = Field(Role.MEMBER, description="At most your own role.")


class ServiceAccountChangeBody(RequestBody):
    role: Role


class ServiceAccountBody(ResponseBody):
    """A member that is a program."""

    id: str
    object: Literal["service_account"] = "service_account"
    name: str
    role: Role
    created_at: int
    created_by: str


class DeletedServiceAccountBody(ResponseBody):
    id: str
    object: Literal["service_account"] = "service_account"
    deleted: bool = True


def service_account_body(account: ServiceAccount) -> ServiceAccountBody:
    return ServiceAccountBody(
        id=account.id,
        name=account.name,
        role=Role(account.role),
        created_at=unix_s(account.created_at),
        created_by=account.created_by,
    )
