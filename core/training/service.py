"""Runs as the api sees them: ask what one would take, start, look, cancel.

`core.training.execution` is the worker's side.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.models import Adapter
from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models.types import BaseModel
from core.config import Settings
from core.datasets import service as datasets
from core.datasets.models import DatasetVersion
from core.errors import Conflict, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import JobEvent
from core.jobs.states import JobState
from core.jobs.types import Curve
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.training import billing
from core.training.admission import advance, check_plan, on_version_finished
from core.training.data import training_version, validation_version
from core.training.models import Run
from core.training.quotes import Check, Quote, Rehearsal, check_ready, estimate, known_base_model, rehearse
from core.training.repository import RunRepository
from core.training.request import RunRequest, check, new_seed
from core.training.telling import tell_end
from core.training.types import RunDetails, RunFilter, RunTerms
from core.workers.hardware import CPU
from core.workspaces.principal import Principal

__all__ = [
    "Check",
    "Quote",
    "Rehearsal",
    "cancel",
    "create",
    "estimate",
    "events_after",
    "get",
    "list_checkpoints",
    "list_events",
    "list_metrics",
    "list_of_jobs",
    "list_runs",
    "on_version_finished",
    "rehearse",
    "run_not_found",
    "step_of",
]

_NO_TERMS = RunTerms()
# each place is a look at the whole queue
_NUM_PLACED = 50


def create(
    session: Session,
    *,
    principal: Principal,
    request: RunRequest,
    settings: Settings,
    queue: TaskQueue | None,
    terms: RunTerms = _NO_TERMS,
    cloned_from: str | None = None,
    bus: EventBus | None = None,
) -> RunDetails:
    """Start a run. It is planned and queued at once if its data is checked already, else when that is done.

    Raises `Invalid` for what cannot be done and `NotFound` for a model, file or version that is not there.
    """
    workspace_id = principal.workspace_id
    check(request, priority=terms.priority)
    base = _trainable(session, workspace_id=workspace_id, model_id=request.model, settings=settings)
    version = training_version(session, principal=principal, request=request, queue=queue)
    validation = validation_version(session, principal=principal, request=request, queue=queue)
    for found in filter(None, (version, validation)):
        RunRepository(session, workspace_id).hold_version(found.id)
    run_id = new_id("ftjob-")
    job = jobs.submit(
        session,
        workspace_id=workspace_id,
        kind=JobKind.TRAINING_RUN,
        payload={"run_id": run_id},
        created_by=principal.user_id,
        state=JobState.VALIDATING,
        priority=terms.priority,
        not_before=terms.start_after,
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
        validation_file_id=request.validation_file or (_file_of(session, validation) if validation else None),
        recipe=request.recipe.value,
        request=request.model_dump(mode="json"),
        user_metadata=request.metadata or None,
        seed=new_seed() if request.seed is None else request.seed,
        # where it will run is settled when it is planned
        hardware=CPU,
        cloned_from=cloned_from,
        max_cost_micros=terms.max_cost_micros,
    )
    check_plan(session, run)
    RunRepository(session, workspace_id).add(run)
    _say_created(session, run)
    _record_created(session, run, principal=principal)
    advance(session, run, job, queue=queue, bus=bus)
    return get(session, workspace_id=workspace_id, run_id=run_id)


def get(session: Session, *, workspace_id: str, run_id: str) -> RunDetails:
    found = RunRepository(session, workspace_id).find(run_id)
    if found is None:
        raise run_not_found(run_id)
    return _placed(session, found)


def list_runs(
    session: Session, *, workspace_id: str, page: PageRequest, wanted: RunFilter | None = None
) -> Page[RunDetails]:
    """Newest first."""
    return RunRepository(session, workspace_id).page(page, wanted or RunFilter())


def list_of_jobs(session: Session, *, workspace_id: str, job_ids: Sequence[str]) -> list[RunDetails]:
    """The runs of these jobs, in the order given; the first of them with their places in the queue."""
    found = RunRepository(session, workspace_id).of_jobs(job_ids)
    return [*(_placed(session, details) for details in found[:_NUM_PLACED]), *found[_NUM_PLACED:]]


def cancel(session: Session, *, principal: Principal, run_id: str, bus: EventBus | None = None) -> RunDetails:
    """Stop a run. Asking again changes nothing; raises `Conflict` for one that succeeded or failed."""
    # held, so that of two clicks one is the second, and the bill is that of the state which ends
    found = RunRepository(session, principal.workspace_id).hold(run_id)
    if found is None:
        raise run_not_found(run_id)
    run, before = found
    if before.state in {JobState.SUCCEEDED, JobState.FAILED}:
        raise Conflict(
            f"Run {run_id} has {before.state} already and cannot be cancelled any more.",
            code="job_state_conflict",
            details={"status": before.state.value},
        )
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    job = jobs.request_cancel(session, workspace_id=principal.workspace_id, job_id=run.job_id, bus=bus)
    if is_first and job.state is JobState.CANCELLED:
        # nobody works on it, so nobody else will
        billing.charge_cancelled(session, run)
        tell_end(session, run)
    if is_first:
        audit.record(session, principal=principal, action="run.cancelled", target_id=run_id)
    return get(session, workspace_id=principal.workspace_id, run_id=run_id)


def list_checkpoints(session: Session, *, workspace_id: str, run_id: str, page: PageRequest) -> Page[Adapter]:
    """The states of a run that can be talked to, the last step first: what it ships is one of them.

    `page.after` is the id of an adapter.
    """
    _get_run(session, workspace_id=workspace_id, run_id=run_id)
    made = adapters.of_run(session, workspace_id=workspace_id, run_id=run_id)
    ordered = sorted(made, key=step_of, reverse=True)
    place = next((number for number, one in enumerate(ordered, 1) if one.id == page.after), 0)
    return Page.cut(ordered[place : place + page.limit + 1], page.limit)


def step_of(adapter: Adapter) -> int:
    """The step after which an adapter was as it is."""
    if adapter.checkpoint_step is not None:
        return adapter.checkpoint_step
    return int(adapter.metrics.get("best_step") or adapter.metrics.get("steps") or 0)


def list_events(session: Session, *, workspace_id: str, run_id: str, page: PageRequest) -> Page[JobEvent]:
    """Newest first."""
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    return jobs.list_events(session, workspace_id=workspace_id, job_id=run.job_id, page=page)


def events_after(
    session: Session, *, workspace_id: str, run_id: str, after_seq: int, limit: int = 1000
) -> Sequence[JobEvent]:
    """What was said after `after_seq`, in order; of a long run not all at once."""
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    return jobs.events_after(session, workspace_id=workspace_id, job_id=run.job_id, after_seq=after_seq, limit=limit)


def list_metrics(
    session: Session,
    *,
    workspace_id: str,
    run_id: str,
    max_points: int = 1000,
    from_step: int | None = None,
    to_step: int | None = None,
) -> Curve:
    """The curve of the run by step, what training and measuring said of a step together, thinned out for a chart.

    Where an attempt repeated a step, the later one counts.
    """
    run = _get_run(session, workspace_id=workspace_id, run_id=run_id)
    return jobs.curve(
        session,
        workspace_id=workspace_id,
        job_id=run.job_id,
        max_points=max_points,
        from_step=from_step,
        to_step=to_step,
    )


def run_not_found(run_id: str) -> NotFound:
    return NotFound(
        f"There is no fine-tuning job {run_id!r} in this workspace.", code="job_not_found", param="fine_tuning_job_id"
    )


def _trainable(session: Session, *, workspace_id: str, model_id: str, settings: Settings) -> BaseModel:
    base = known_base_model(session, workspace_id=workspace_id, model_id=model_id)
    check_ready(base, settings)
    return base


def _file_of(session: Session, version: DatasetVersion) -> str:
    return datasets.get(session, workspace_id=version.workspace_id, dataset_id=version.dataset_id).file_id


def _say_created(session: Session, run: Run) -> None:
    files = f"Validating training file: {run.training_file_id}"
    if run.validation_file_id:
        files += f" and validation file: {run.validation_file_id}"
    for message in (f"Created fine-tuning job: {run.id}", files):
        jobs.append_event(session, workspace_id=run.workspace_id, job_id=run.job_id, message=message)


def _record_created(session: Session, run: Run, *, principal: Principal) -> None:
    details = {"model": run.base_model, "dataset_version_id": run.dataset_version_id, "recipe": run.recipe}
    if run.cloned_from is None:
        audit.record(session, principal=principal, action="run.created", target_id=run.id, details=details)
    else:
        details["cloned_from"] = run.cloned_from
        audit.record(session, principal=principal, action="run.cloned", target_id=run.id, details=details)


def _get_run(session: Session, *, workspace_id: str, run_id: str) -> Run:
    run = RunRepository(session, workspace_id).get(run_id)
    if run is None:
        raise run_not_found(run_id)
    return run


def _placed(session: Session, details: RunDetails) -> RunDetails:
    """With its place in the queue, if it waits there."""
    job = details.job
    if job.state is not JobState.QUEUED:
        return details
    return replace(details, outlook=jobs.queue_position(session, workspace_id=job.workspace_id, job_id=job.id))
