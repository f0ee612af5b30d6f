"""From data that is ready to a run in the queue: planned, priced, and sent where the hardware is."""

import logging
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models import service as base_models
from core.datasets import service as datasets
from core.datasets.health.overlap import Overlap
from core.datasets.models import DatasetVersion
from core.datasets.types import VersionStatus
from core.errors import AppError
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import Blame
from core.jobs.types import EventLevel, JobError
from core.kit.money import seconds_for
from core.training import leakage
from core.training.data import version_error
from core.training.hardware import list_offers
from core.training.history import PastRun
from core.training.models import Run
from core.training.planning import Plan, data_stats, plan_run
from core.training.repository import RunRepository
from core.training.request import RunRequest, check_row_kind
from core.training.telling import tell_end

logger = logging.getLogger(__name__)

_NUM_PAST_RUNS = 50
_BROKEN_PLAN = JobError(
    code="internal_error",
    message="This run could not be planned, by a mistake in our software. It cost you nothing. Tell your admin.",
)


def on_version_finished(
    session: Session,
    *,
    workspace_id: str,
    version_id: str,
    queue: TaskQueue | None = None,
    bus: EventBus | None = None,
) -> None:
    """A dataset version became ready or failed: the runs that waited for it are planned and queued, or fail with it.

    One that cannot be planned keeps no other from its turn.
    """
    for run, job in RunRepository(session, workspace_id).waiting_for(version_id):
        try:
            with session.begin_nested():
                advance(session, run, job, queue=queue, bus=bus)
        except SQLAlchemyError:
            raise
        except Exception:
            logger.exception("run %s could not be planned", run.id)
            _fail(session, run, _BROKEN_PLAN, blame=Blame.PLATFORM_ERROR, bus=bus)


def advance(session: Session, run: Run, job: Job, *, queue: TaskQueue | None, bus: EventBus | None) -> None:
    """Plan and queue the run if all its data is ready; fail it if some never will be."""
    version, validation = _versions(session, run)
    for found, param in ((version, "training_file"), (validation, "validation_file")):
        if found is not None and found.status == VersionStatus.FAILED:
            _fail(session, run, version_error(found, param), blame=Blame.USER_ERROR, bus=bus)
            return
    if not _are_ready(version, validation):
        return
    try:
        plan = _plan(session, run, version, validation)
    except AppError as error:
        failure = JobError(code=error.error_code, message=error.message, param=error.param)
        _fail(session, run, failure, blame=Blame.USER_ERROR, bus=bus)
        return
    overlap = leakage.between(session, version, validation) if validation is not None else None
    run.spec = plan.spec.model_dump(mode="json")
    run.estimate = plan.dump()
    run.hardware = plan.hardware
    run.price_micros_per_hour = plan.price_micros_per_hour
    session.flush()
    _tell_leakage(session, run, overlap)
    jobs.append_event(
        session,
        workspace_id=run.workspace_id,
        job_id=job.id,
        message="Files validated, moving job to queued state",
    )
    jobs.release(
        session,
        job,
        queue,
        payload_changes=limit_of(run),
        estimated_s=plan.estimate.seconds,
        queue_name=plan.offer.queue,
        bus=bus,
    )


def _tell_leakage(session: Session, run: Run, overlap: Overlap | None) -> None:
    if overlap is None:
        return
    run.estimate = leakage.noted(run.estimate, overlap)
    if overlap.num_shared:
        jobs.append_event(
            session,
            workspace_id=run.workspace_id,
            job_id=run.job_id,
            message=leakage.told(overlap),
            level=EventLevel.WARN,
        )


def check_plan(session: Session, run: Run) -> None:
    """Raises `Invalid` for what data that is ready already does not allow: better now than as a failed run."""
    version, validation = _versions(session, run)
    if _are_ready(version, validation):
        _plan(session, run, version, validation)


def limit_of(run: Run) -> dict[str, Any]:
    """What the worker is told of the run's spending limit: seconds of work at the run's price."""
    if run.max_cost_micros is None or not run.price_micros_per_hour:
        return {"max_billable_s": None}
    return {"max_billable_s": seconds_for(run.price_micros_per_hour, run.max_cost_micros)}


def past_runs(session: Session, *, workspace_id: str) -> list[PastRun]:
    """What the next plan can learn from, newest first."""
    found = RunRepository(session, workspace_id).recently_finished(limit=_NUM_PAST_RUNS)
    read = (
        PastRun.read(
            base_model=run.base_model,
            hardware=run.hardware,
            spec=run.spec,
            estimate=run.estimate,
            results=run.results,
        )
        for run in found
    )
    return [run for run in read if run is not None]


def _versions(session: Session, run: Run) -> tuple[DatasetVersion, DatasetVersion | None]:
    version = datasets.get_version(session, workspace_id=run.workspace_id, version_id=run.dataset_version_id)
    if run.validation_version_id is None:
        return version, None
    return version, datasets.get_version(session, workspace_id=run.workspace_id, version_id=run.validation_version_id)


def _are_ready(*versions: DatasetVersion | None) -> bool:
    return all(found is None or found.status == VersionStatus.READY for found in versions)


def _plan(session: Session, run: Run, version: DatasetVersion, validation: DatasetVersion | None) -> Plan:
    request = RunRequest.model_validate(run.request)
    # what a version holds is certain only when all of it has been read
    check_row_kind(request, version.kind, param="method.type")
    if validation is not None:
        check_row_kind(request, validation.kind, param="validation_file")
    return plan_run(
        request,
        recipe=request.recipe,
        stats=data_stats(version, validation),
        base=base_models.get(run.base_model),
        seed=run.seed,
        offers=list_offers(session),
        past=past_runs(session, workspace_id=run.workspace_id),
    )


def _fail(session: Session, run: Run, error: JobError, *, blame: Blame, bus: EventBus | None) -> None:
    jobs.fail_waiting(session, workspace_id=run.workspace_id, job_id=run.job_id, error=error, blame=blame, bus=bus)
    tell_end(session, run)
