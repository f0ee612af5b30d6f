from typing import Annotated, Literal

from fastapi import APIRouter, Depends

from api.dependencies import BackendsDep, DatabaseDep, SettingsDep, require
from api.files.schemas import FileBody, file_body
from api.pagination import ListBody, list_body
from api.retries import RetriedRoute
from api.schemas import ResponseBody
from core.datasets import samples
from core.datasets.samples import Sample
from core.kit.pagination import Page
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["samples"], route_class=RetriedRoute)


class SampleBody(ResponseBody):
    id: str
    object: Literal["sample"] = "sample"
    name: str
    description: str
    license: str
    source: str
    num_rows: int


@router.get("/v1/samples")
def list_samples(_principal: Annotated[Principal, Depends(require(Permission.DATASETS_READ))]) -> ListBody[SampleBody]:
    """Data sets that come with the product, to try it with."""
    return list_body(Page(items=samples.list_samples(), has_more=False), _body)


@router.post("/v1/samples/{sample_id}")
def copy_sample(
    sample_id: str,
    principal: Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))],
    settings: SettingsDep,
    database: DatabaseDep,
    backends: BackendsDep,
) -> FileBody:
    """Put a sample among your files, just as if you had uploaded it."""
    file = samples.copy(sample_id, principal=principal, settings=settings, database=database, blobs=backends.blobs)
    return file_body(file)


def _body(sample: Sample) -> SampleBody:
    return SampleBody(**sample.model_dump(exclude={"file"}))
