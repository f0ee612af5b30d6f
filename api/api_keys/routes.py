from typing import Annotated

from fastapi import APIRouter, Depends

from api.api_keys.schemas import ApiKeyBody, DeletedApiKeyBody, MadeApiKeyBody, NewApiKeyBody, api_key_body
from api.dependencies import SessionDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.audit import service as audit
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["api keys"], route_class=RetriedRoute)

ManagerDep = Annotated[Principal, Depends(require(Permission.KEYS_MANAGE))]


@router.get("/v1/api_keys")
def list_api_keys(principal: ManagerDep, session: SessionDep, page: PageDep) -> ListBody[ApiKeyBody]:
    """The workspace's keys that are not revoked, newest first."""
    return list_body(workspaces.list_api_keys(session, workspace_id=principal.workspace_id, page=page), api_key_body)


# not deduplicated: the kept answer would hold the secret in clear
@router.post("/v1/api_keys")
def create_api_key(body: NewApiKeyBody, principal: ManagerDep, session: SessionDep) -> MadeApiKeyBody:
    """Make a key. Its secret is in this answer and nowhere else."""
    made = workspaces.create_api_key(session, principal=principal, name=body.name, role=body.role)
    session.refresh(made.key)
    audit.record(
        session,
        principal=principal,
        action="api_key.created",
        target_id=made.key.id,
        details={"name": made.key.name, "role": made.key.role},
    )
    return MadeApiKeyBody(**api_key_body(made.key).model_dump(), key=made.secret)


@router.delete("/v1/api_keys/{key_id}")
def revoke_api_key(key_id: str, principal: ManagerDep, session: SessionDep) -> DeletedApiKeyBody:
    """Revoke a key: the next request with it is refused."""
    key = workspaces.revoke_api_key(session, principal=principal, key_id=key_id)
    audit.record(session, principal=principal, action="api_key.revoked", target_id=key.id, details={"name": key.name})
    return DeletedApiKeyBody(id=key.id)
