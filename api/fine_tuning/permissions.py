"""Checkpoint permissions: another workspace may use a tuned model. Ids of models hold colons, and may hold slashes."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from api.dependencies import DatabaseDep, SessionDep, require
from api.pagination import ListBody, list_body
from api.retries import RetriedRoute
from api.schemas import RequestBody, ResponseBody
from core.adapters.models import CheckpointPermission
from core.adapters.permissions import service as permissions
from core.db.session import SYSTEM
from core.kit.clock import unix_s
from core.kit.pagination import MAX_LIMIT, Page, PageRequest
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(
    prefix="/v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint:path}/permissions",
    tags=["fine-tuning"],
    route_class=RetriedRoute,
)

AdminDep = Annotated[Principal, Depends(require(Permission.WORKSPACE_ADMIN))]


class CreatePermissionsBody(RequestBody):
    project_ids: list[str] = Field(min_length=1, max_length=MAX_LIMIT, description="Ids of workspaces.")


class CheckpointPermissionBody(ResponseBody):
    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    created_at: int
    project_id: str


class DeletedPermissionBody(ResponseBody):
    id: str
    object: Literal["checkpoint.permission"] = "checkpoint.permission"
    deleted: Literal[True] = True


@router.post("")
def create_checkpoint_permissions(
    fine_tuned_model_checkpoint: str, body: CreatePermissionsBody, principal: AdminDep, database: DatabaseDep
) -> ListBody[CheckpointPermissionBody]:
    """Let other workspaces use a tuned model in chat. Asking again changes nothing."""
    # the other workspace's audit log is written too
    with database.session(SYSTEM) as session:
        given = permissions.grant(
            session, principal=principal, model_id=fine_tuned_model_checkpoint, project_ids=body.project_ids
        )
        return list_body(Page(items=given, has_more=False), _body)


@router.get("")
def list_checkpoint_permissions(
    fine_tuned_model_checkpoint: str,
    principal: AdminDep,
    session: SessionDep,
    after: Annotated[str | None, Query(description="Id of the last item of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 10,
    order: Literal["ascending", "descending"] = "descending",
    project_id: str | None = None,
) -> ListBody[CheckpointPermissionBody]:
    """Who else may use a tuned model."""
    found = permissions.list_permissions(
        session,
        workspace_id=principal.workspace_id,
        model_id=fine_tuned_model_checkpoint,
        page=PageRequest(after=after, limit=limit, ascending=order == "ascending"),
        project_id=project_id,
    )
    return list_body(found, _body)


@router.delete("/{permission_id}")
def delete_checkpoint_permission(
    fine_tuned_model_checkpoint: str, permission_id: str, principal: AdminDep, database: DatabaseDep
) -> DeletedPermissionBody:
    """Take a permission back; from now on the model is not there for that workspace."""
    with database.session(SYSTEM) as session:
        permissions.take_back(
            session, principal=principal, model_id=fine_tuned_model_checkpoint, permission_id=permission_id
        )
    return DeletedPermissionBody(id=permission_id)


def _body(permission: CheckpointPermission) -> CheckpointPermissionBody:
    return CheckpointPermissionBody(
        id=permission.id, created_at=unix_s(permission.created_at), project_id=permission.project_id
    )
