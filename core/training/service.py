"""Runs as the api sees them: ask what one would take, start, look, cancel.

`core.training.execution` is the worker's side.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.config import Settings
from core.datasets import files
from core.datasets import service as datasets
from core.datasets.models import DatasetVersion
from core.datasets.types import VersionStatus
from core.errors import AppError, Conflict, Invalid, NotFound, Unavailable
from core.jobs import service as jobs
from core.jobs.kinds import QUEUE_OF_KIND, JobKind
from core.jobs.models import Job, JobEvent
from core.jobs.states import Blame, JobState
from core.jobs.types import EventType, JobError, QueueOutlook
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.training.models import Run
from core.training.planning import HARDWARE, Plan, data_stats, plan_run, rough_stats, throughput
from core.training.recipes import DatasetStats, Recipe
from core.training.repository import Found, RunRepository
from core.training.request import RunRequest, check, new_seed
from core.training.types import RunDetails, RunFilter
from core.usage import service as usage
from core.usage.models import Price
from core.workspaces.principal import Principal

_NUM_MEASURED_RUNS = 5


def create(
    session: Session,
    *,
    principal: Principal,
    request: RunRequest,
    settings: Settings,
    queue: TaskQueue | None,
    bus: EventBus | None = None,
) -> RunDetails:
    """Start a run. It is planned and queued at once if its data is checked already, else when that is done.

    Raises `Invalid` for what cannot be done and `NotFound` for a model, file or version that is not there.
    """
    workspace_id = principal.workspace_id
    check(request)
    base = _trainable(session, workspace_id=workspace_id, model_id=request.model, settings=settings)
    version = _version(session, principal=principal, request=request, queue=queue)
    validation = _validation_version(session, principal=principal, request=request, queue=queue)
    for found in (version, validation):
        if found is not None:
            RunRepository(session, workspace_id).hold_version(found.id)
    run_id = new_id("ftjob-")
    job = jobs.submit(
        session,
        workspace_id=workspace_id,
        kind=JobKind.TRAINING_RUN,
        payload={"run_id": run_id},
        created_by=principal.user_id,
        state=JobState.VALIDATING,
    )
    run = Run(
        id=run_id,
        workspace_id=workspace_id,
        created_by=principal.user_id,
        job_id=job.id,
        name=request.name,
        suffix=request.suffix,
        base_model=base.id,
        dataset_version_id=version.id,
        validation_version_id=validation.id if validation else None,
        training_file_id=request.training_file or _file_of(session, version),
        validation_file_id=request.validation_file,
        recipe=request.recipe.value,
        request=request.model_dump(mode="json"),
        user_metadata=request.metadata,
        seed=new_seed() if request.seed is None else request.seed,
        hardware=HARDWARE,
    )
    RunRepository(session, workspace_id).add(run)
    _say_created(session, run)
    audit.record(
        session,
        principal=principal,
        action="run.created",
        target_id=run_id,
        details={"model": base.id, "dataset_version_id": version.id, "recipe": run.recipe},
    )
    _advance(session, run, job, queue=queue, bus=bus)
    return get(session, workspace_id=workspace_id, run_id=run_id)


def on_version_finished(
    session: Session,
    *,
    workspace_id: str,
    version_id: str,
    queue: TaskQueue | None = None,
    bus: EventBus | None = None,
) -> None:
    """A dataset version became ready or failed: the runs that waited for it are planned and queued, or fail with it."""
    for run, job in RunRepository(session, workspace_id).waiting_for(version_id):
        _advance(session, run, job, queue=queue, bus=bus)


def get(session: Session, *, workspace_id: str, run_id: str) -> RunDetails:
    found = RunRepository(session, workspace_id).find(run_id)
    if found is None:
        raise run_not_found(run_id)
    outlook = jobs.queue_position(session, workspace_id=workspace_id, job_id=found[1].id)
    return _details(session, workspace_id=workspace_id, found=[found], outlook=outlook)[0]


def list_runs(
    session: Session, *, workspace_id: str, page: PageRequest, wanted: RunFilter | None = None
) -> Page[RunDetails]:
    """Newest first."""
    found = RunRepository(session, workspace_id).page(page, wanted or RunFilter())
    return Page(items=_details(session, workspace_id=workspace_id, found=found.items), has_more=found.has_more)


def cancel(session: Session, *, principal: Principal, run_id: str, bus: EventBus | None = None) -> RunDetails:
    """Stop a run. Asking again changes nothing; raises `Conflict` for one that succeeded or failed."""
    run = _get_run(session, workspace_id=principal.workspace_id, run_id=run_id)
    before = jobs.get(session, workspace_id=principal.workspace_id, job_id=run.job_id)
    if before.state in {JobState.SUCCEEDED, JobState.FAILED}:
        raise Conflict(
            f"Run {run_id} has {before.state} already and cannot be cancelled any more.",
            code="job_state_conflict",
            details={"status": before.state.value},
        )
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    jobs.request_cancel(session, workspace_id=principal.workspace_id, job_id=run.job_id, bus=bus)
    if is_first:
        audit.record(session, principal=principal, action="run.cancelled", target_id=run_id)
    return get(session, workspace_id=principal.workspace_id, run_id=run_id)


def list_events(session: Session, *, workspace_id: str, run_id: str, page: PageRequest) -> Page[JobEvent]:
    """Newest first."""
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    return jobs.list_events(session, workspace_id=workspace_id, job_id=run.job_id, page=page)


def events_after(session: Session, *, workspace_id: str, run_id: str, after_seq: int) -> Sequence[JobEvent]:
    """What was said after `after_seq`, in order; of a long run not all at once."""
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    return jobs.events_after(session, workspace_id=workspace_id, job_id=run.job_id, after_seq=after_seq)


def list_metrics(session: Session, *, workspace_id: str, run_id: str) -> list[dict[str, Any]]:
    """The curve of the run by step, what training and measuring said of a step together.

    Where an attempt repeated a step, the later one counts.
    """
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    by_step: dict[int, dict[str, Any]] = {}
    after_seq = 0
    while events := jobs.events_after(
        session, workspace_id=workspace_id, job_id=run.job_id, after_seq=after_seq, type=EventType.METRICS
    ):
        for event in events:
            data = event.data or {}
            step = int(data.get("step", 0))
            by_step[step] = by_step.get(step, {}) | data
        after_seq = events[-1].seq
    return [by_step[step] for step in sorted(by_step)]


def estimate(
    session: Session,
    *,
    principal: Principal,
    request: RunRequest,
    recipes: Sequence[Recipe],
    settings: Settings,
) -> tuple[list[Plan], Price, QueueOutlook]:
    """What each recipe would take and cost now; of a file, roughly, for its rows are not read yet.

    Raises `Conflict` while a dataset version is still being checked.
    """
    check(request)
    workspace_id = principal.workspace_id
    base = _trainable(session, workspace_id=workspace_id, model_id=request.model, settings=settings)
    stats = _stats(session, workspace_id=workspace_id, request=request)
    price = usage.price_at(session, hardware=HARDWARE)
    speed = _throughput(session, workspace_id=workspace_id, base=base)
    plans = [
        plan_run(
            request,
            recipe=recipe,
            stats=stats,
            base=base,
            seed=request.seed or 0,
            tokens_per_s=speed,
            price_micros_per_hour=price.micros_per_hour,
        )
        for recipe in recipes
    ]
    queue_name = QUEUE_OF_KIND[JobKind.TRAINING_RUN]
    return plans, price, jobs.outlook(session, workspace_id=workspace_id, queue_name=queue_name)


def run_not_found(run_id: str) -> NotFound:
    return NotFound(
        f"There is no fine-tuning job {run_id!r} in this workspace.", code="job_not_found", param="fine_tuning_job_id"
    )


def _advance(session: Session, run: Run, job: Job, *, queue: TaskQueue | None, bus: EventBus | None) -> None:
    """Plan and queue the run if all its data is ready; fail it if some never will be."""
    version = datasets.get_version(session, workspace_id=run.workspace_id, version_id=run.dataset_version_id)
    validation = None
    if run.validation_version_id:
        validation = datasets.get_version(session, workspace_id=run.workspace_id, version_id=run.validation_version_id)
    for found, param in ((version, "training_file"), (validation, "validation_file")):
        if found is not None and found.status == VersionStatus.FAILED:
            _fail(session, run, _version_error(found, param), bus=bus)
            return
    if any(found is not None and found.status != VersionStatus.READY for found in (version, validation)):
        return
    try:
        plan = _plan(session, run, version, validation)
    except AppError as error:
        _fail(session, run, JobError(code=error.error_code, message=error.message, param=error.param), bus=bus)
        return
    run.spec = plan.spec.model_dump(mode="json")
    run.estimate = plan.dump()
    run.price_micros_per_hour = plan.price_micros_per_hour
    session.flush()
    jobs.append_event(
        session,
        workspace_id=run.workspace_id,
        job_id=job.id,
        message="Files validated, moving job to queued state",
    )
    jobs.release(session, job, queue, estimated_s=plan.estimate.seconds, bus=bus)


def _plan(session: Session, run: Run, version: DatasetVersion, validation: DatasetVersion | None) -> Plan:
    base = base_models.get(run.base_model)
    request = RunRequest.model_validate(run.request)
    return plan_run(
        request,
        recipe=request.recipe,
        stats=data_stats(version, validation),
        base=base,
        seed=run.seed,
        tokens_per_s=_throughput(session, workspace_id=run.workspace_id, base=base),
        price_micros_per_hour=usage.price_at(session, hardware=run.hardware).micros_per_hour,
    )


def _fail(session: Session, run: Run, error: JobError, *, bus: EventBus | None) -> None:
    jobs.fail_waiting(
        session,
        workspace_id=run.workspace_id,
        job_id=run.job_id,
        error=error,
        blame=Blame.USER_ERROR,
        bus=bus,
    )


def _throughput(session: Session, *, workspace_id: str, base: BaseModel) -> float:
    measured = RunRepository(session, workspace_id).recent_results(
        base_model=base.id, hardware=HARDWARE, limit=_NUM_MEASURED_RUNS
    )
    return throughput(base, measured)


def _trainable(session: Session, *, workspace_id: str, model_id: str, settings: Settings) -> BaseModel:
    if model_id.startswith("ft:"):
        adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id)
        raise Invalid(
            "Training on from a tuned model is not available yet. Name its base model, and train on all the rows.",
            code="unsupported_model",
            param="model",
        )
    base = base_models.get(model_id)
    if not base_models.is_ready(settings, base.id):
        raise Unavailable(
            f"The base model {base.id} is not on this machine's disk yet. If it was just installed it is being "
            "prepared; try again in a minute. Otherwise an admin has to add it.",
            code="model_not_ready",
            param="model",
        )
    return base


def _version(session: Session, *, principal: Principal, request: RunRequest, queue: TaskQueue | None) -> DatasetVersion:
    workspace_id = principal.workspace_id
    if request.dataset_version_id is not None:
        version = datasets.get_version(session, workspace_id=workspace_id, version_id=request.dataset_version_id)
        return _usable(version, "dataset_version_id")
    version = datasets.version_for_file(
        session,
        workspace_id=workspace_id,
        file_id=str(request.training_file),
        principal_user_id=principal.user_id,
        queue=queue,
    )
    return _usable(version, "training_file")


def _stats(session: Session, *, workspace_id: str, request: RunRequest) -> DatasetStats:
    if request.dataset_version_id is None:
        return rough_stats(files.get(session, workspace_id=workspace_id, file_id=str(request.training_file)))
    version = datasets.get_version(session, workspace_id=workspace_id, version_id=request.dataset_version_id)
    if _usable(version, "dataset_version_id").status is not VersionStatus.READY:
        raise Conflict(
            "The examples are still being checked; ask again when the dataset version is ready.",
            code="dataset_version_not_ready",
            details={"dataset_version_id": version.id},
        )
    return data_stats(version, None)


def _validation_version(
    session: Session, *, principal: Principal, request: RunRequest, queue: TaskQueue | None
) -> DatasetVersion | None:
    if request.validation_file is None:
        return None
    version = datasets.version_for_file(
        session,
        workspace_id=principal.workspace_id,
        file_id=request.validation_file,
        principal_user_id=principal.user_id,
        queue=queue,
    )
    return _usable(version, "validation_file")


def _usable(version: DatasetVersion, param: str) -> DatasetVersion:
    if version.status == VersionStatus.FAILED:
        error = _version_error(version, param)
        raise Invalid(error["message"], code=error["code"], param=param)
    return version


def _version_error(version: DatasetVersion, param: str) -> JobError:
    error = version.error or {}
    return JobError(
        code=error.get("code", "dataset_version_failed"),
        message=error.get("message", f"The examples of {version.id} could not be read; look at its problems."),
        param=param,
    )


def _file_of(session: Session, version: DatasetVersion) -> str:
    return datasets.get(session, workspace_id=version.workspace_id, dataset_id=version.dataset_id).file_id


def _say_created(session: Session, run: Run) -> None:
    files = f"Validating training file: {run.training_file_id}"
    if run.validation_file_id:
        files += f" and validation file: {run.validation_file_id}"
    for message in (f"Created fine-tuning job: {run.id}", files):
        jobs.append_event(session, workspace_id=run.workspace_id, job_id=run.job_id, message=message)


def _get_run(session: Session, *, workspace_id: str, run_id: str) -> Run:
    run = RunRepository(session, workspace_id).get(run_id)
    if run is None:
        raise run_not_found(run_id)
    return run


def _details(
    session: Session, *, workspace_id: str, found: Sequence[Found], outlook: QueueOutlook | None = None
) -> list[RunDetails]:
    made = adapters.of_runs(session, workspace_id=workspace_id, run_ids=[run.id for run, _, _ in found])
    return [
        RunDetails(run=run, job=job, dataset_name=dataset_name, adapter=made.get(run.id), outlook=outlook)
        for run, job, dataset_name in found
    ]
