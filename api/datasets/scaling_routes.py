"""Is it enough? Whether more rows would make a better model of a dataset version."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.datasets.routes import ReaderDep
from api.datasets.scaling_schemas import (
    NewScalingStudy,
    ScalingEstimateBody,
    ScalingStudyBody,
    ScalingStudyListBody,
    scaling_estimate_body,
    scaling_study_body,
    scaling_study_list_body,
)
from api.dependencies import BackendsDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.pagination import PageDep
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.training.scaling import service as scaling
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["datasets"], route_class=RetriedRoute)

TrainerDep = Annotated[Principal, Depends(require(Permission.RUNS_WRITE))]


@router.get("/v1/dataset_versions/{version_id}/scaling_estimate")
def estimate_scaling_study(
    version_id: str,
    principal: ReaderDep,
    session: SessionDep,
    model: Annotated[str | None, Query(description="A base model; the usual one when absent.")] = None,
) -> ScalingEstimateBody:
    """How long a study of the version would take and what it would cost; nothing is made."""
    found = scaling.estimate(session, workspace_id=principal.workspace_id, version_id=version_id, model_id=model)
    return scaling_estimate_body(found)


@router.post("/v1/dataset_versions/{version_id}/scaling_studies", dependencies=[JOBS_COUNTED])
def create_scaling_study(
    version_id: str,
    body: NewScalingStudy,
    once: OnceDep,
    principal: TrainerDep,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
) -> ScalingStudyBody:
    """Train on a quarter, a half and all of the rows, judge each, and say what more rows would bring.

    They are judged with the rows that are kept back. It is charged like a run, and keeps no model.
    """

    def create() -> ScalingStudyBody:
        made = scaling.create(
            session,
            principal=principal,
            version_id=version_id,
            model_id=body.model,
            settings=settings,
            queue=backends.queue,
        )
        return scaling_study_body(made)

    return once.answer(ScalingStudyBody, create)


@router.get("/v1/dataset_versions/{version_id}/scaling_studies")
def list_scaling_studies(
    version_id: str, principal: ReaderDep, session: SessionDep, page: PageDep
) -> ScalingStudyListBody:
    """The studies of a version, newest first, and with how few rows there can be none."""
    found = scaling.list_studies(session, workspace_id=principal.workspace_id, version_id=version_id, page=page)
    return scaling_study_list_body(found)


@router.get("/v1/scaling_studies/{scaling_study_id}")
def get_scaling_study(scaling_study_id: str, principal: ReaderDep, session: SessionDep) -> ScalingStudyBody:
    """How far a study is, the parts that are done, and at last its verdict."""
    return scaling_study_body(scaling.get(session, workspace_id=principal.workspace_id, study_id=scaling_study_id))


@router.post("/v1/scaling_studies/{scaling_study_id}/cancel")
def cancel_scaling_study(
    scaling_study_id: str, principal: TrainerDep, session: SessionDep, backends: BackendsDep
) -> ScalingStudyBody:
    """Stop a study. It pays for the time that it used."""
    return scaling_study_body(
        scaling.cancel(session, principal=principal, study_id=scaling_study_id, bus=backends.events)
    )
