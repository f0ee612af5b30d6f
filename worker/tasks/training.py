"""A training run: rows to a folder, the trainer over it, its adapter to the object store, its results to the database.

Three steps, and no session is open in the middle one: load, process, apply. What the child learned is entered in one
transaction with the charge and the end of the job, or not at all.
"""

import sys
from pathlib import Path

from sqlalchemy.orm import Session

from core.base_models import service as base_models
from core.datasets.types import Split
from core.db.session import workspace_scope
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import error_of, failure_of
from core.jobs.models import Job
from core.jobs.states import TERMINAL, JobState
from core.jobs.types import Lease
from core.training import execution
from core.training.execution import RunWork
from core.training.spec import RunInput
from worker.context import WorkContext
from worker.supervise import ChildResult, JobCancelled, run_child
from worker.tasks import publishing, run_folder

_MAX_OUT_OF_MEMORY_ATTEMPTS = 2


def run(context: WorkContext, lease: Lease) -> None:
    """Do one attempt at a run, up to its adapter's entry in the registry."""
    runs_dir = context.settings.runs_dir.resolve()
    folder = run_folder.make(runs_dir, lease)
    work = _load(context, lease, folder)
    try:
        child = run_child(
            [sys.executable, "-m", "worker.training", str(folder)],
            folder,
            lease,
            context=context,
        )
    except JobCancelled as stopped:
        _apply_cancel(context, lease, stopped.result)
        run_folder.remove(runs_dir, lease.job_id)
        return
    if child.exit_code != ExitCode.DONE:
        if _apply_failure(context, lease, child) in TERMINAL:
            run_folder.remove(runs_dir, lease.job_id)
        return
    prefix = publishing.key_prefix(lease, work.run_id)
    published = publishing.publish(context.backends.blobs, folder / "adapter", prefix)
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.succeed(
            session,
            lease,
            published=published,
            results=child.result or {},
            seconds=child.seconds,
            bus=context.backends.events,
        )
    run_folder.remove(runs_dir, lease.job_id)


def settle(session: Session, job: Job) -> None:
    """A run that ended without its worker costs nothing: its seconds are not known, and none of that is the user's."""
    execution.end_free(session, workspace_id=job.workspace_id, run_id=str(job.payload["run_id"]))


def _load(context: WorkContext, lease: Lease, folder: Path) -> RunWork:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        work = execution.load(session, lease)
        run_folder.write_rows(folder / "train.jsonl", execution.rows(session, lease, work, Split.TRAIN))
        run_folder.write_rows(folder / "heldout.jsonl", execution.rows(session, lease, work, Split.HELDOUT))
        message = "Fine-tuning job started" if lease.attempt == 1 else "Fine-tuning job continues"
        execution.say(session, lease, message, bus=context.backends.events)
    child_input = RunInput(
        **work.spec.model_dump(),
        base_model_dir=base_models.folder(context.settings, work.spec.base_model).resolve(),
        num_threads=context.settings.num_cpu_threads,
        lineage=work.lineage,
    )
    (folder / "spec.json").write_text(child_input.model_dump_json(indent=2), encoding="utf-8")
    return work


def _apply_cancel(context: WorkContext, lease: Lease, child: ChildResult) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.cancelled(session, lease, seconds=child.seconds, bus=context.backends.events)


def _apply_failure(context: WorkContext, lease: Lease, child: ChildResult) -> JobState | None:
    """Fail the job or give it back for another attempt; the state it is then in, None if fenced."""
    failure = failure_of(child.exit_code, child.error)
    error = error_of(child.exit_code, child.error)
    may_retry = failure.may_retry and not (
        child.exit_code == ExitCode.OUT_OF_MEMORY and lease.attempt >= _MAX_OUT_OF_MEMORY_ATTEMPTS
    )
    bus = context.backends.events
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        state: JobState | None
        if may_retry:
            state = jobs.requeue(session, lease, error=error, bus=bus)
        else:
            is_ours = jobs.finish(session, lease, JobState.FAILED, error=error, blame=failure.blame, bus=bus)
            state = JobState.FAILED if is_ours else None
        if state in TERMINAL:
            execution.end_free(session, workspace_id=lease.workspace_id, run_id=str(lease.payload["run_id"]))
        return state
