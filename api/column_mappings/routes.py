from typing import Annotated

from fastapi import APIRouter, Depends

from api.column_mappings.schemas import ColumnMappingBody, DeletedColumnMappingBody, column_mapping_body
from api.dependencies import SessionDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.datasets import remembered
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["column mappings"], route_class=RetriedRoute)


@router.get("/v1/column_mappings")
def list_column_mappings(
    principal: Annotated[Principal, Depends(require(Permission.DATASETS_READ))], session: SessionDep, page: PageDep
) -> ListBody[ColumnMappingBody]:
    """What the workspace chose for columns before, newest first. Each is made by choosing, with a dataset."""
    found = remembered.list_remembered(session, workspace_id=principal.workspace_id, page=page)
    return list_body(found, column_mapping_body)


@router.delete("/v1/column_mappings/{column_mapping_id}")
def forget_column_mapping(
    column_mapping_id: str,
    principal: Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))],
    session: SessionDep,
) -> DeletedColumnMappingBody:
    """Propose again what the columns themselves suggest. Datasets that were made stay as they are."""
    remembered.forget(session, principal=principal, column_mapping_id=column_mapping_id)
    return DeletedColumnMappingBody(id=column_mapping_id)
