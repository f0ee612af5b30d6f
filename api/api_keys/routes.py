from typing import Annotated

from fastapi import APIRouter, Depends

from api.api_keys.schemas import (
    ApiKeyBody,
    ApiKeyChangeBody,
    DeletedApiKeyBody,
    MadeApiKeyBody,
    NewApiKeyBody,
    RotationBody,
    api_key_body,
)
from api.dependencies import SessionDep, SettingsDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.audit import service as audit
from core.errors import Forbidden
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission
from core.workspaces.service_accounts import service as accounts
from core.workspaces.types import MadeKey

router = APIRouter(tags=["api keys"], route_class=RetriedRoute)

ManagerDep = Annotated[Principal, Depends(require(Permission.KEYS_MANAGE))]


@router.get("/v1/api_keys")
def list_api_keys(principal: ManagerDep, session: SessionDep, page: PageDep) -> ListBody[ApiKeyBody]:
    """The workspace's keys that are not revoked, newest first."""
    return list_body(workspaces.list_api_keys(session, workspace_id=principal.workspace_id, page=page), api_key_body)


# not deduplicated: the kept answer would hold the secret in clear
@router.post("/v1/api_keys")
def create_api_key(
    body: NewApiKeyBody, principal: ManagerDep, session: SessionDep, settings: SettingsDep
) -> MadeApiKeyBody:
    """Make a key. Its secret is in this answer and nowhere else."""
    account = None
    if body.service_account_id is not None:
        if not principal.may(Permission.MEMBERS_MANAGE):
            raise Forbidden("Only an admin makes keys of service accounts: they outlast whoever made them.")
        account = accounts.get(session, workspace_id=principal.workspace_id, account_id=body.service_account_id)
    made = workspaces.create_api_key(
        session,
        principal=principal,
        name=body.name,
        role=body.role,
        scopes=body.scopes,
        expires_at=body.expiry,
        account=account,
        max_keys=settings.max_api_keys_per_workspace,
    )
    details = {
        "name": made.key.name,
        "role": made.key.role,
        "scopes": made.key.scopes,
        "expires_at": body.expires_at,
        "service_account_id": made.key.service_account_id,
    }
    audit.record(
        session,
        principal=principal,
        action="api_key.created",
        target_id=made.key.id,
        details={name: value for name, value in details.items() if value is not None},
    )
    return _made_body(made)


@router.patch("/v1/api_keys/{key_id}")
def rename_api_key(key_id: str, body: ApiKeyChangeBody, principal: ManagerDep, session: SessionDep) -> ApiKeyBody:
    key = workspaces.rename_api_key(session, principal=principal, key_id=key_id, name=body.name)
    audit.record(session, principal=principal, action="api_key.renamed", target_id=key.id, details={"name": key.name})
    return api_key_body(key)


@router.post("/v1/api_keys/{key_id}/rotate")
def rotate_api_key(key_id: str, body: RotationBody, principal: ManagerDep, session: SessionDep) -> MadeApiKeyBody:
    """Give a key a new secret at once. The old one works for the overlap, a day unless told, and then dies."""
    made = workspaces.rotate_api_key(session, principal=principal, key_id=key_id, overlap_s=body.overlap_s)
    audit.record(
        session,
        principal=principal,
        action="api_key.rotated",
        target_id=key_id,
        details={"name": made.key.name, "overlap_s": body.overlap_s},
    )
    return _made_body(made)


@router.delete("/v1/api_keys/{key_id}")
def revoke_api_key(key_id: str, principal: ManagerDep, session: SessionDep) -> DeletedApiKeyBody:
    """Revoke a key: the next request with it is refused."""
    key = workspaces.revoke_api_key(session, principal=principal, key_id=key_id)
    audit.record(session, principal=principal, action="api_key.revoked", target_id=key.id, details={"name": key.name})
    return DeletedApiKeyBody(id=key.id)


def _made_body(made: MadeKey) -> MadeApiKeyBody:
    return MadeApiKeyBody(**api_key_body(made.key).model_dump(), key=made.secret)
