"""Versions that are made by changing rows, and the draft in which changes are collected."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from api.datasets.routes import ReaderDep, WriterDep
from api.datasets.schemas import DatasetVersionBody, number_of_row, version_body
from api.datasets.version_schemas import (
    DeletedDraftBody,
    DiffBody,
    DraftBody,
    NewChanges,
    NewDraftChange,
    PastVersionBody,
    diff_body,
    draft_body,
    past_version_body,
)
from api.dependencies import BackendsDep, DatabaseDep, SessionDep
from api.files.names import attachment
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.datasets import service as datasets
from core.datasets.types import Split
from core.datasets.versions import diff, downloads, drafts
from core.datasets.versions import service as versions
from core.datasets.versions.downloads import DownloadFormat

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)


@router.get("/v1/datasets/{dataset_id}/versions")
def list_dataset_versions(
    dataset_id: str, principal: ReaderDep, session: SessionDep, page: PageDep
) -> ListBody[PastVersionBody]:
    """Newest first: who made each version, when, and what was changed."""
    workspace_id = principal.workspace_id
    before = None
    if page.after is not None:
        before = datasets.get_version(session, workspace_id=workspace_id, version_id=page.after).number
    found = versions.history(
        session, workspace_id=workspace_id, dataset_id=dataset_id, before_number=before, limit=page.limit
    )
    return list_body(found, past_version_body)


@router.post("/v1/dataset_versions/{version_id}/changes", dependencies=[JOBS_COUNTED])
def change_dataset_version(
    version_id: str,
    body: NewChanges,
    once: OnceDep,
    principal: WriterDep,
    session: SessionDep,
    backends: BackendsDep,
) -> DatasetVersionBody:
    """Make a new version of this one, the newest, by changes. This one stays as it is.

    If somebody else made a version in between, nothing is changed, and the error says who changed what.
    """

    def create() -> DatasetVersionBody:
        made = versions.derive(
            session, principal=principal, version_id=version_id, changes=body.changes, queue=backends.queue
        )
        return version_body(made)

    return once.answer(DatasetVersionBody, create)


@router.get("/v1/dataset_versions/{version_id}/diff")
def compare_dataset_versions(
    version_id: str,
    principal: ReaderDep,
    session: SessionDep,
    page: PageDep,
    before: Annotated[
        str | None, Query(description="The version to compare with; when absent its parent, or the version before it.")
    ] = None,
) -> DiffBody:
    """The rows that differ from another version of the same dataset, as they were and as they are."""
    found = diff.between(
        session,
        workspace_id=principal.workspace_id,
        version_id=version_id,
        before_id=before,
        after_number=number_of_row(page.after),
        limit=page.limit,
    )
    return diff_body(found)


@router.get("/v1/dataset_versions/{version_id}/content", response_class=StreamingResponse)
def download_dataset_version(
    version_id: str,
    principal: ReaderDep,
    database: DatabaseDep,
    backends: BackendsDep,
    file_format: Annotated[
        DownloadFormat, Query(alias="format", description="`jsonl` is OpenAI's; `parquet` has every row.")
    ] = DownloadFormat.JSONL,
    split: Annotated[Split | None, Query(description="All that can be learned from when absent.")] = None,
) -> StreamingResponse:
    """The version as one file. Cells that a spreadsheet would run as formulas begin with a quotation mark."""
    found = downloads.open_version(
        database,
        workspace_id=principal.workspace_id,
        version_id=version_id,
        file_format=file_format,
        split=split,
        blobs=backends.blobs,
    )
    headers = {"content-disposition": attachment(found.name)}
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)


@router.get("/v1/datasets/{dataset_id}/draft")
def get_dataset_draft(dataset_id: str, principal: ReaderDep, session: SessionDep) -> DraftBody:
    """The changes that are not saved yet, in their order, whoever made them."""
    return draft_body(drafts.get(session, workspace_id=principal.workspace_id, dataset_id=dataset_id))


@router.post("/v1/datasets/{dataset_id}/draft/changes")
def add_to_dataset_draft(
    dataset_id: str, body: NewDraftChange, once: OnceDep, principal: WriterDep, session: SessionDep
) -> DraftBody:
    """Add a change to the draft. Rows with `draft=true` show what it makes of them."""

    def create() -> DraftBody:
        made = drafts.append(
            session,
            principal=principal,
            dataset_id=dataset_id,
            version_id=body.version_id,
            change=body.change,
            seen=body.seen,
        )
        return draft_body(made)

    return once.answer(DraftBody, create)


@router.post("/v1/datasets/{dataset_id}/draft/undo")
def undo_in_dataset_draft(dataset_id: str, principal: WriterDep, session: SessionDep) -> DraftBody:
    """Take the last change of the draft back; of an empty one, none."""
    return draft_body(drafts.undo(session, principal=principal, dataset_id=dataset_id))


@router.delete("/v1/datasets/{dataset_id}/draft")
def discard_dataset_draft(dataset_id: str, principal: WriterDep, session: SessionDep) -> DeletedDraftBody:
    """Throw away all changes that are not saved."""
    drafts.discard(session, principal=principal, dataset_id=dataset_id)
    return DeletedDraftBody(dataset_id=dataset_id)


@router.post("/v1/datasets/{dataset_id}/draft/save", dependencies=[JOBS_COUNTED])
def save_dataset_draft(
    dataset_id: str, once: OnceDep, principal: WriterDep, session: SessionDep, backends: BackendsDep
) -> DatasetVersionBody:
    """Make a version of the draft. It is `validating` until a job has written it."""

    def create() -> DatasetVersionBody:
        return version_body(drafts.save(session, principal=principal, dataset_id=dataset_id, queue=backends.queue))

    return once.answer(DatasetVersionBody, create)
