"""From examples to the models that learned from them."""

from typing import Literal

from fastapi import APIRouter
from pydantic import Field

from api.datasets.routes import ReaderDep
from api.dependencies import SessionDep
from api.pagination import ListBody, list_body
from api.retries import RetriedRoute
from api.schemas import ResponseBody
from core.jobs.states import JobState
from core.kit.clock import unix_s
from core.kit.pagination import Page
from core.training import lineage
from core.training.types import RunDetails

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)


class LearnerBody(ResponseBody):
    id: str
    object: Literal["learner"] = "learner"
    name: str | None
    status: JobState = Field(description="Of the run.")
    created_at: int
    version_id: str = Field(description="What it learned from.")
    validation_version_id: str | None = Field(description="What it was measured with, if that is another.")
    model: str | None = Field(description="The model that came of it.")


class HoldingVersionBody(ResponseBody):
    id: str
    number: int


class RowLineageBody(ResponseBody):
    object: Literal["row_lineage"] = "row_lineage"
    number: int = Field(description="The row's number in the file.")
    file_id: str
    filename: str
    versions: list[HoldingVersionBody] = Field(description="Those that hold the row exactly as it is in this one.")
    runs: list[LearnerBody] = Field(description="Those that learned from these versions, or were measured with them.")


@router.get("/v1/datasets/{dataset_id}/lineage")
def list_learners(dataset_id: str, principal: ReaderDep, session: SessionDep) -> ListBody[LearnerBody]:
    """The newest hundred runs of any version of the dataset, and the models that came of them."""
    found = lineage.of_dataset(session, workspace_id=principal.workspace_id, dataset_id=dataset_id)
    return list_body(Page(items=found, has_more=False), _learner)


@router.get("/v1/dataset_versions/{version_id}/rows/{number}/lineage")
def get_row_lineage(version_id: str, number: int, principal: ReaderDep, session: SessionDep) -> RowLineageBody:
    """Where a row came from, and everything that learned from it."""
    found = lineage.of_row(session, workspace_id=principal.workspace_id, version_id=version_id, number=number)
    return RowLineageBody(
        number=found.number,
        file_id=found.file.id,
        filename=found.file.filename,
        versions=[HoldingVersionBody(id=one.id, number=one.number) for one in found.versions],
        runs=[_learner(run) for run in found.runs],
    )


def _learner(details: RunDetails) -> LearnerBody:
    run = details.run
    return LearnerBody(
        id=run.id,
        name=run.name or run.suffix,
        status=details.job.state,
        created_at=unix_s(run.created_at),
        version_id=run.dataset_version_id,
        validation_version_id=run.validation_version_id,
        model=None if details.adapter is None else details.adapter.model_id,
    )
