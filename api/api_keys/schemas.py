from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.kit.clock import unix_s
from core.workspaces.models import ApiKey
from core.workspaces.roles import Permission, Role
from core.workspaces.service import MAX_OVERLAP_S

# the end of the year 9999, the last that a date can have
_LAST_S = 253_402_300_799


class NewApiKeyBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)
    role: Role | None = Field(None, description="At most the role of whom it acts for, which is also the default.")
    scopes: list[Permission] | None = Field(
        None, min_length=1, description="The rights that it is limited to, of those of its role; all of them without."
    )
    expires_at: int | None = Field(
        None, ge=0, le=_LAST_S, description="Unix time from which it is refused with `api_key_expired`; never without."
    )
    service_account_id: str | None = Field(
        None, max_length=100, description="The service account that it acts for, rather than for you."
    )

    @property
    def expiry(self) -> datetime | None:
        return None if self.expires_at is None else datetime.fromtimestamp(self.expires_at, UTC)


class ApiKeyChangeBody(RequestBody):
    name: str = Field(min_length=1, max_length=100)


class RotationBody(RequestBody):
    overlap_s: int = Field(
        MAX_OVERLAP_S, ge=0, le=MAX_OVERLAP_S, description="How long the old secret goes on to work; 0 ends it now."
    )


class ApiKeyBody(ResponseBody):
    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    prefix: str
    last4: str
    role: Role
    scopes: list[Permission] | None
    user_id: str | None = Field(description="The person that it acts for; null if that is a service account.")
    service_account_id: str | None
    created_at: int
    created_by: str
    last_used_at: int | None
    expires_at: int | None
    previous_expires_at: int | None = Field(description="Until when the secret before the last rotation works.")


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
        scopes=key.scopes,
        user_id=key.user_id,
        service_account_id=key.service_account_id,
        created_at=unix_s(key.created_at),
        created_by=key.created_by,
        last_used_at=_unix_s(key.last_used_at),
        expires_at=_unix_s(key.expires_at),
        previous_expires_at=_unix_s(key.previous_expires_at),
    )


def _unix_s(moment: datetime | None) -> int | None:
    return None if moment is None else unix_s(moment)
