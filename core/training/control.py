"""Steering runs: hold, go on, repeat with a change, reorder. A second click of anything changes nothing."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.config import Settings
from core.datasets import closing
from core.errors import Conflict, Invalid
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, Blame, JobState
from core.kit.clock import unix_s
from core.kit.money import usd
from core.kit.pagination import Page
from core.training import service
from core.training.admission import limit_of
from core.training.models import Run
from core.training.repository import RunRepository
from core.training.request import RunRequest, check_name, check_priority
from core.training.types import RunDetails, RunTerms
from core.workspaces.principal import Principal


def pause(session: Session, *, principal: Principal, run_id: str, bus: EventBus | None = None) -> RunDetails:
    """Hold a run: at once while it waits, and when it has saved its place if it is worked on.

    Raises `Conflict` for one that is over or is being cancelled.
    """
    run, job = _held(session, principal, run_id)
    if job.state is JobState.PAUSED or (job.pause_requested_at is not None and job.cancel_requested_at is None):
        return _details(session, run)
    if job.state in TERMINAL:
        raise _conflict(job, f"Run {run_id} has {_END[job.state]} already, so there is nothing to pause.")
    if job.cancel_requested_at is not None:
        raise _conflict(job, f"Run {run_id} is being cancelled and cannot be paused any more.")
    start_after = job.not_before
    paused = jobs.request_pause(session, workspace_id=run.workspace_id, job_id=job.id, bus=bus)
    if paused.state is JobState.PAUSED:
        _keep_start(session, paused, start_after)
    audit.record(session, principal=principal, action="run.paused", target_id=run_id)
    return _details(session, run)


def resume(
    session: Session,
    *,
    principal: Principal,
    run_id: str,
    queue: TaskQueue | None = None,
    bus: EventBus | None = None,
) -> RunDetails:
    """Go on with a paused run, or with a failed one after the error, from its last checkpoint.

    A pause that was only asked for is taken back. Raises `Conflict` for a run that succeeded or was cancelled, that
    never was planned because its data failed, or that has used up its limit (`budget_reached`).
    """
    run, job = _held(session, principal, run_id)
    if job.state in {JobState.SUCCEEDED, JobState.CANCELLED}:
        raise _conflict(job, f"Run {run_id} has {_END[job.state]} already. To do it again, clone it.")
    if job.state is JobState.FAILED and run.spec is None:
        raise _conflict(
            job,
            f"Run {run_id} failed before it could begin, so there is nothing to continue. Correct what was wrong and "
            "clone it.",
        )
    is_stopped = job.state in {JobState.PAUSED, JobState.FAILED}
    if not is_stopped and job.pause_requested_at is None:
        return _details(session, run)
    if is_stopped:
        closing.refuse_while_closed(session, workspace_id=run.workspace_id)
        _check_limit(run, job)
        # what an end without an adapter entered; the end to come will enter its own
        run.cost_micros = None
        session.flush()
    start_after = job.not_before
    resumed = jobs.resume(
        session, workspace_id=run.workspace_id, job_id=job.id, queue=queue, payload_changes=limit_of(run), bus=bus
    )
    if is_stopped:
        _keep_start(session, resumed, start_after)
    audit.record(session, principal=principal, action="run.resumed", target_id=run_id)
    return _details(session, run)


def clone(
    session: Session,
    *,
    principal: Principal,
    run_id: str,
    changes: Mapping[str, Any],
    terms_changes: Mapping[str, Any],
    settings: Settings,
    queue: TaskQueue | None,
    bus: EventBus | None = None,
) -> RunDetails:
    """A new run that differs from this one in `changes` (fields of `RunRequest`) only: same rows, same seed."""
    original = service.get(session, workspace_id=principal.workspace_id, run_id=run_id)
    run = original.run
    same = {
        # the rows that this run learned from, even if its file is gone by now
        "training_file": None,
        "dataset_version_id": run.dataset_version_id,
        "seed": run.seed,
        "name": run.name,
    }
    request = RunRequest.model_validate(run.request | same).changed(changes)
    terms = RunTerms(priority=original.job.priority, max_cost_micros=run.max_cost_micros)
    return service.create(
        session,
        principal=principal,
        request=request,
        terms=replace(terms, **terms_changes),
        cloned_from=run.id,
        settings=settings,
        queue=queue,
        bus=bus,
    )


def change(
    session: Session,
    *,
    principal: Principal,
    run_id: str,
    changes: Mapping[str, Any],
    bus: EventBus | None = None,
) -> RunDetails:
    """Change a run's `name`, `priority`, `start_after` or `max_cost_micros`, whichever `changes` has.

    Raises `Conflict` for what comes too late: order and start of a run that has begun, the limit of one that is worked
    on this moment.
    """
    run, job = _held(session, principal, run_id)
    new = {name: value for name, value in changes.items() if value != _present(run, job)[name]}
    if "name" in new:
        check_name(new["name"])
        run.name = new["name"]
    if "max_cost_micros" in new:
        _change_limit(session, run, job, new["max_cost_micros"])
    if "priority" in new or "start_after" in new:
        _reschedule(session, run, job, new, bus=bus)
    session.flush()
    if new:
        told = {name: unix_s(value) if isinstance(value, datetime) else value for name, value in new.items()}
        audit.record(session, principal=principal, action="run.changed", target_id=run_id, details=told)
    return _details(session, run)


def move(
    session: Session,
    *,
    principal: Principal,
    run_id: str,
    to: Literal["front", "back"] | None,
    before: str | None,
    bus: EventBus | None = None,
) -> RunDetails:
    """Give a waiting run another place among those of its workspace. Raises `Conflict` if it does not wait."""
    if (to is None) == (before is None):
        raise Invalid('Say where to: either "to", "front" or "back", or "before" another run.', param="to")
    if before == run_id:
        raise Invalid("A run cannot be put before itself.", param="before")
    repository = RunRepository(session, principal.workspace_id)
    follower = repository.get(before) if before else None
    if before and follower is None:
        raise service.run_not_found(before)
    run, job = _held(session, principal, run_id)
    if job.state is not JobState.QUEUED:
        raise _conflict(job, f"Run {run_id} is not waiting in the queue, so it has no place there to change.")
    if follower and jobs.get(session, workspace_id=run.workspace_id, job_id=follower.job_id).state != JobState.QUEUED:
        raise _conflict(job, f"Run {before} is not waiting in the queue any more, so nothing can be put before it.")
    was = (job.priority, job.queue_rank)
    moved = jobs.move(
        session,
        workspace_id=run.workspace_id,
        job_id=job.id,
        to=to,
        before_id=follower.job_id if follower else None,
        bus=bus,
    )
    if (moved.priority, moved.queue_rank) != was:
        audit.record(
            session, principal=principal, action="run.moved", target_id=run_id, details={"to": to or f"before {before}"}
        )
    return _details(session, run)


def list_waiting(session: Session, *, workspace_id: str, limit: int) -> Page[RunDetails]:
    """The workspace's queued runs in the order of their turns; the first ones know when theirs is."""
    waiting = [job.id for job in jobs.waiting(session, workspace_id=workspace_id) if job.kind is JobKind.TRAINING_RUN]
    page = Page.cut(waiting, limit)
    return Page(
        items=service.list_of_jobs(session, workspace_id=workspace_id, job_ids=page.items), has_more=page.has_more
    )


_END = {JobState.SUCCEEDED: "succeeded", JobState.FAILED: "failed", JobState.CANCELLED: "been cancelled"}


def _held(session: Session, principal: Principal, run_id: str) -> tuple[Run, Job]:
    """The run and its job, which nobody else changes until the transaction ends: of two clicks one is the second."""
    found = RunRepository(session, principal.workspace_id).hold(run_id)
    if found is None:
        raise service.run_not_found(run_id)
    return found


def _details(session: Session, run: Run) -> RunDetails:
    return service.get(session, workspace_id=run.workspace_id, run_id=run.id)


def _present(run: Run, job: Job) -> dict[str, Any]:
    return {
        "name": run.name,
        "priority": job.priority,
        "start_after": job.not_before,
        "max_cost_micros": run.max_cost_micros,
    }


def _reschedule(session: Session, run: Run, job: Job, new: Mapping[str, Any], *, bus: EventBus | None) -> None:
    if job.state not in CANCELLED_AT_ONCE:
        raise _conflict(job, f"Run {run.id} has begun or is over, so its turn cannot be changed any more.")
    priority = new.get("priority")
    if priority is not None:
        check_priority(priority)
    jobs.reschedule(
        session,
        workspace_id=run.workspace_id,
        job_id=job.id,
        priority=priority,
        not_before=new.get("start_after", ...),
        bus=bus,
    )


def _change_limit(session: Session, run: Run, job: Job, max_cost_micros: int | None) -> None:
    if job.state in {JobState.SUCCEEDED, JobState.CANCELLED}:
        raise _conflict(job, f"Run {run.id} has {_END[job.state]} already and costs nothing more.")
    if job.state is JobState.RUNNING:
        raise _conflict(
            job,
            f"Run {run.id} is being worked on. Pause it, change its limit, and let it go on.",
            code="run_is_running",
        )
    run.max_cost_micros = max_cost_micros
    if job.state is JobState.QUEUED:
        # one that is claimed later reads it; a paused or failed one is told when it goes on
        jobs.change_payload(session, workspace_id=run.workspace_id, job_id=job.id, changes=limit_of(run))


def _check_limit(run: Run, job: Job) -> None:
    """Going on within the limit at which it paused would pause again at once."""
    reached_s, limit_s = job.payload.get("max_billable_s"), limit_of(run)["max_billable_s"]
    if job.blame is not Blame.BUDGET or reached_s is None or limit_s is None or limit_s > reached_s:
        return
    raise Conflict(
        f"Run {run.id} has used up its limit of ${usd(run.max_cost_micros or 0):.2f}. Raise max_cost_usd first, and it "
        "goes on where it stopped.",
        code="budget_reached",
        param="max_cost_usd",
    )


def _keep_start(session: Session, job: Job, start_after: datetime | None) -> None:
    """Holding a run and letting it go does not make it start before the time that was asked for."""
    if start_after is not None:
        jobs.reschedule(session, workspace_id=job.workspace_id, job_id=job.id, not_before=start_after)


def _conflict(job: Job, message: str, *, code: str = "job_state_conflict") -> Conflict:
    return Conflict(message, code=code, details={"status": job.state.value})
