from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.kit.clock import unix_s
from core.workspaces.models import ApiKey
from core.workspaces.roles import Role


class NewApiKeyBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)
    role: Role | None = Field(None, description="At most your own role, which is also the default.")


class ApiKeyBody(ResponseBody):
    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: str
    last4: str
    role: Role
    created_at: int
    last_used_at: int | None
    created_by: str


class MadeApiKeyBody(ApiKeyBody):
    key: str = Field(description="The secret. It is shown this once and stored nowhere.")


class DeletedApiKeyBody(ResponseBody):
    id: str
    object: Literal["api_key"] = "api_key"
    deleted: bool = True


def api_key_body(key: ApiKey) -> ApiKeyBody:
    return ApiKeyBody(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        last4=key.last4,
        role=Role(key.role),
        created_at=unix_s(key.created_at),
        last_used_at=unix_s(key.last_used_at) if key.last_used_at else None,
        created_by=key.created_by,
    )
