from typing import Annotated

from fastapi import APIRouter, Depends

from api.datasets.schemas import (
    DatasetBody,
    DatasetChanges,
    DatasetVersionBody,
    DeletedDatasetBody,
    NewDataset,
    NewVersion,
    dataset_body,
    version_body,
)
from api.dependencies import BackendsDep, SessionDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.datasets import service as datasets
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.DATASETS_READ))]
WriterDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]


@router.post("/v1/datasets", dependencies=[JOBS_COUNTED])
def create_dataset(
    body: NewDataset, once: OnceDep, principal: WriterDep, session: SessionDep, backends: BackendsDep
) -> DatasetBody:
    """Make a dataset of a file. Its first version is `validating` until a job has read every row."""

    def create() -> DatasetBody:
        made = datasets.create(
            session,
            principal=principal,
            file_id=body.file_id,
            name=body.name,
            mapping=body.mapping,
            queue=backends.queue,
        )
        return dataset_body(made)

    return once.answer(DatasetBody, create)


@router.get("/v1/datasets")
def list_datasets(principal: ReaderDep, session: SessionDep, page: PageDep) -> ListBody[DatasetBody]:
    """The workspace's datasets, newest first."""
    return list_body(datasets.list_datasets(session, workspace_id=principal.workspace_id, page=page), dataset_body)


@router.get("/v1/datasets/{dataset_id}")
def get_dataset(dataset_id: str, principal: ReaderDep, session: SessionDep) -> DatasetBody:
    found = datasets.get_details(session, workspace_id=principal.workspace_id, dataset_id=dataset_id)
    return dataset_body(found)


@router.patch("/v1/datasets/{dataset_id}")
def rename_dataset(dataset_id: str, body: DatasetChanges, principal: WriterDep, session: SessionDep) -> DatasetBody:
    return dataset_body(datasets.rename(session, principal=principal, dataset_id=dataset_id, name=body.name))


@router.delete("/v1/datasets/{dataset_id}")
def delete_dataset(dataset_id: str, principal: WriterDep, session: SessionDep) -> DeletedDatasetBody:
    """Hide a dataset; `restore` brings it back. Runs and models that learned from it are not touched."""
    datasets.delete(session, principal=principal, dataset_id=dataset_id)
    return DeletedDatasetBody(id=dataset_id)


@router.post("/v1/datasets/{dataset_id}/restore")
def restore_dataset(dataset_id: str, principal: WriterDep, session: SessionDep) -> DatasetBody:
    """Bring a deleted dataset back; one that is there stays as it is."""
    return dataset_body(datasets.restore(session, principal=principal, dataset_id=dataset_id))


@router.post("/v1/datasets/{dataset_id}/versions", dependencies=[JOBS_COUNTED])
def create_dataset_version(
    dataset_id: str,
    body: NewVersion,
    once: OnceDep,
    principal: WriterDep,
    session: SessionDep,
    backends: BackendsDep,
) -> DatasetVersionBody:
    """Read the same file with other columns. Earlier versions stay as they are."""

    def create() -> DatasetVersionBody:
        made = datasets.create_version(
            session, principal=principal, dataset_id=dataset_id, mapping=body.mapping, queue=backends.queue
        )
        return version_body(made)

    return once.answer(DatasetVersionBody, create)


@router.get("/v1/dataset_versions/{version_id}")
def get_dataset_version(version_id: str, principal: ReaderDep, session: SessionDep) -> DatasetVersionBody:
    found = datasets.get_version_details(session, workspace_id=principal.workspace_id, version_id=version_id)
    return version_body(found)
