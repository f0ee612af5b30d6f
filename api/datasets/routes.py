from functools import partial
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
from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from api.threads import in_thread
from core.datasets import files, preview
from core.datasets import service as datasets
from core.datasets.types import Inspection
from core.db.session import workspace_scope
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.DATASETS_READ))]
WriterDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]


async def _seen_for_dataset(
    body: NewDataset, principal: WriterDep, database: DatabaseDep, backends: BackendsDep, settings: SettingsDep
) -> Inspection | None:
    if body.mapping is None or body.mapping.sheet is None:
        return None
    look = partial(
        preview.of_sheet,
        database,
        backends.blobs,
        workspace_id=principal.workspace_id,
        file_id=body.file_id,
        mapping=body.mapping,
        directory=settings.uploads_dir,
    )
    return await in_thread(look)


async def _seen_for_version(
    dataset_id: str,
    body: NewVersion,
    principal: WriterDep,
    database: DatabaseDep,
    backends: BackendsDep,
    settings: SettingsDep,
) -> Inspection | None:
    if body.mapping.sheet is None:
        return None
    workspace_id = principal.workspace_id

    def look() -> Inspection | None:
        with database.session(workspace_scope(workspace_id)) as session:
            file = files.of_dataset(session, workspace_id=workspace_id, dataset_id=dataset_id)
        return preview.of_sheet(
            database,
            backends.blobs,
            workspace_id=workspace_id,
            file_id=file.id,
            mapping=body.mapping,
            directory=settings.uploads_dir,
        )

    return await in_thread(look)


# another sheet is looked at before the route has its session, which nobody should hold meanwhile
SeenForDatasetDep = Annotated[Inspection | None, Depends(_seen_for_dataset)]
SeenForVersionDep = Annotated[Inspection | None, Depends(_seen_for_version)]


@router.post("/v1/datasets", dependencies=[JOBS_COUNTED])
def create_dataset(
    body: NewDataset,
    seen: SeenForDatasetDep,
    once: OnceDep,
    principal: WriterDep,
    session: SessionDep,
    backends: BackendsDep,
) -> DatasetBody:
    """Make a dataset of a file. Its first version is `validating` until a job has read every row."""

    def create() -> DatasetBody:
        made = datasets.create(
            session,
            principal=principal,
            file_id=body.file_id,
            name=body.name,
            mapping=body.mapping,
            seen=seen,
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
    seen: SeenForVersionDep,
    once: OnceDep,
    principal: WriterDep,
    session: SessionDep,
    backends: BackendsDep,
) -> DatasetVersionBody:
    """Read the same file with other columns, or another sheet of it. Earlier versions stay as they are."""

    def create() -> DatasetVersionBody:
        made = datasets.create_version(
            session,
            principal=principal,
            dataset_id=dataset_id,
            mapping=body.mapping,
            seen=seen,
            queue=backends.queue,
        )
        return version_body(made)

    return once.answer(DatasetVersionBody, create)


@router.get("/v1/dataset_versions/{version_id}")
def get_dataset_version(version_id: str, principal: ReaderDep, session: SessionDep) -> DatasetVersionBody:
    found = datasets.get_version_details(session, workspace_id=principal.workspace_id, version_id=version_id)
    return version_body(found)
