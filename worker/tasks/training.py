"""A training run: rows to a folder, the trainer over it, its adapter to the object store, its results to the database.

Three steps, and no session is open in the middle one: load, process, apply. What the child learned is entered in one
transaction with the charge and the end of the job, or not at all. Whatever ends an attempt before that, the next one
finds the finished adapter, or the last checkpoint, on this machine or in the object store.
"""

import errno
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.config import environment_of_children
from core.datasets.files import NewFile
from core.datasets.types import Split
from core.db.session import workspace_scope
from core.errors import Unavailable
from core.inference.types import Proof
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, error_from, failure_of
from core.jobs.models import Job
from core.jobs.states import TERMINAL, Blame, JobState
from core.jobs.types import JobError, Lease
from core.training import execution, result_file
from core.training.checkpoints import service as checkpoints
from core.training.execution import Fenced, Published, PublishedCheckpoint, RunWork
from core.training.methods import quantization_of
from core.training.result_file import StoredCurve
from core.training.spec import RunInput
from core.workers import hardware
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildResult, JobCancelled, JobInterrupted, JobPaused, run_child
from worker.tasks import proving, publishing, run_folder
from worker.tasks.checkpoints import CheckpointUploader, put_in_place
from worker.tasks.endings import give_back_or_fail
from worker.tasks.patience import as_long_as_ours, in_background, nothing_done, patiently
from worker.tasks.run_folder import RunFolder
from worker.training import several

logger = logging.getLogger(__name__)

T = TypeVar("T")

# a store that is away is waited for; then the attempt is given back
_FETCH_PATIENCE_S = 10 * 60
_APPLY_PATIENCE_S = 5 * 60
# of an attempt that ends: a deploy waits for it, and so does whoever pressed pause
_SETTLE_S = 14.0
_SWEEP_S = 5.0


@dataclass(frozen=True, slots=True)
class _Done:
    """All that is entered when a run succeeds; its bytes are in the object store by then."""

    published: Published
    results: dict[str, Any]
    curve: NewFile
    checkpoints: list[PublishedCheckpoint]
    proof: Proof | None


def run(context: WorkContext, lease: Lease) -> None:
    """Do one attempt at a run, up to its adapter's entry in the registry."""
    try:
        _run(context, lease)
    except Fenced:
        logger.warning("job %s, attempt %d: the lease is lost; nothing is published", lease.job_id, lease.attempt)


def _run(context: WorkContext, lease: Lease) -> None:
    try:
        _attempt(context, lease)
    except JobCancelled as stopped:
        cancelled = stopped.result
        as_long_as_ours(context, lambda: _apply_cancel(context, lease, cancelled), what="a cancel")
    except JobPaused as stopped:
        paused = stopped
        as_long_as_ours(context, lambda: _apply_pause(context, lease, paused), what="a pause")
    except JobInterrupted as stopped:
        with suppress(SQLAlchemyError, Fenced):
            _note_used(context, lease, stopped.result)
        raise
    except Unavailable as error:
        code = error.error_code if error.error_code in FAILURES else "internal_error"
        _fail(context, lease, FAILURES[code], nothing_done())
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _fail(context, lease, FAILURES["disk_full"], nothing_done())


def settle(session: Session, job: Job) -> None:
    """A run that ended without its worker. Failed, it costs nothing; cancelled, it pays for what it had used."""
    end = execution.end_cancelled if job.state is JobState.CANCELLED else execution.end_free
    end(session, workspace_id=job.workspace_id, run_id=str(job.payload["run_id"]))


def _attempt(context: WorkContext, lease: Lease) -> None:
    work = _answered(context, lambda: _load(context, lease))
    # before the folder is made, which must not be made twice: if the model is missing, this is done again
    base_model_dir = base_model_supply.require(context.settings, work.spec.base_model)
    folder = run_folder.make(context.settings.runs_dir.resolve(), lease)
    _answered(context, lambda: _say_begun(context, lease))
    with CheckpointUploader(context, lease, work.run_id, folder.checkpoints) as uploader:
        try:
            child = _answered(context, lambda: _finished_before(context, lease, folder))
            if child is None:
                _answered(context, lambda: _write_input(context, lease, folder, work, base_model_dir))
                child = _train(context, lease, folder, work, uploader)
            if child is None:
                return
            _publish(context, lease, folder, work, child)
        except (JobInterrupted, JobPaused):
            # also while publishing: the next attempt may be on another machine, and must not train again
            uploader.settle(within_s=_SETTLE_S)
            raise
    _remove_everything(context, lease, work.run_id)


def _answered(context: WorkContext, ask: Callable[[], T]) -> T:
    """A database that is away, or a race that a transaction lost, costs time and not the attempt."""
    return patiently(context, ask, what="the start of an attempt", for_s=_APPLY_PATIENCE_S)


def _load(context: WorkContext, lease: Lease) -> RunWork:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        return execution.load(session, lease)


def _say_begun(context: WorkContext, lease: Lease) -> None:
    message = "Fine-tuning job started" if lease.attempt == 1 else "Fine-tuning job continues"
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.say(session, lease, message, bus=context.backends.events)


def _finished_before(context: WorkContext, lease: Lease, folder: RunFolder) -> ChildResult | None:
    """What an earlier attempt here had finished and could not publish."""
    manifest = publishing.finished(folder.adapter)
    if manifest is None:
        return None
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.say(session, lease, "The training is done already; its adapter is stored now.")
    results = manifest["results"]
    return ChildResult(
        exit_code=ExitCode.DONE,
        result=results,
        error=None,
        seconds=0.0,
        stderr_tail="",
        billable_s=results.get("billable_s") or 0.0,
    )


def _train(
    context: WorkContext, lease: Lease, folder: RunFolder, work: RunWork, uploader: CheckpointUploader
) -> ChildResult | None:
    """The child's result; None if it has none, and the job is failed or given back already."""
    is_only_here = patiently(
        context,
        lambda: put_in_place(context, lease, work.run_id, folder.checkpoints, inherited_from=folder.inherited_from),
        what="fetching the last checkpoint",
        for_s=_FETCH_PATIENCE_S,
    )
    if is_only_here:
        uploader.announce_newest()
    child = run_child(
        several.command(context.trainer_argv, folder.path, _num_processes(work)),
        folder.path,
        lease,
        context=context,
        on_event=uploader.on_event,
    )
    if child.exit_code == ExitCode.DONE:
        return child
    is_stored = uploader.settle(within_s=_SETTLE_S)
    failure = failure_of(
        child.exit_code,
        child.error,
        memory_was_exhausted=child.memory_was_exhausted,
        made_no_progress=child.made_no_progress,
    )
    _fail(context, lease, failure, child, reported=child.error, is_stored=is_stored)
    return None


def _publish(context: WorkContext, lease: Lease, folder: RunFolder, work: RunWork, child: ChildResult) -> None:
    _enter_stage(context, lease, "publishing")
    prefix = publishing.key_prefix(lease, work.run_id)
    published = publishing.publish_patiently(context, folder.adapter, prefix, child)
    epochs = publishing.publish_epochs(context, folder.epochs, prefix, child)
    curve = patiently(
        context,
        lambda: _store_curve(context, lease, prefix),
        what="storing the curve",
        for_s=_APPLY_PATIENCE_S,
        so_far=child,
    )
    proof = proving.prove(
        context,
        published,
        source_id=work.run_id,
        base_model=work.spec.base_model,
        quantization=quantization_of(work.spec.method),
    )
    done = _Done(published, child.result or {}, curve.file, curve.of_epochs(epochs), proof)
    patiently(
        context,
        lambda: _apply_success(context, lease, work, done),
        what="entering the adapter",
        for_s=_APPLY_PATIENCE_S,
        so_far=child,
    )


def _store_curve(context: WorkContext, lease: Lease, prefix: str) -> StoredCurve:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        points = result_file.points_of(session, lease)
    return result_file.store(context.backends.blobs, points, key_prefix=prefix)


def _num_processes(work: RunWork) -> int:
    """As planned, but no more than there are GPUs: the plan may have been made for a larger machine."""
    num_planned = work.execution.num_processes
    if num_planned == 1:
        return 1
    gpus = hardware.gpus(environment_of_children().get("CUDA_VISIBLE_DEVICES"))
    return min(num_planned, len(gpus) or num_planned)


def _write_input(context: WorkContext, lease: Lease, folder: RunFolder, work: RunWork, base_model_dir: Path) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        for name, split in (("train.jsonl", Split.TRAIN), ("heldout.jsonl", Split.HELDOUT)):
            run_folder.write_rows(folder.path / name, execution.rows(session, lease, work, split))
    if work.validation_version_id is not None and not work.is_leakage_known:
        # too many rows to be compared while somebody waited: before anything is trained, and charged
        overlap = run_folder.overlap(folder.path / "train.jsonl", folder.path / "heldout.jsonl")
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            execution.note_leakage(session, lease, overlap, bus=context.backends.events)
    child_input = RunInput(
        **work.spec.model_dump(),
        base_model_dir=base_model_dir,
        num_threads=context.settings.num_cpu_threads,
        checkpoint_every_s=context.settings.checkpoint_every_s,
        micro_batch_divisor=int(lease.payload.get("micro_batch_divisor", 1)),
        execution=work.execution,
        lineage=work.lineage,
    )
    (folder.path / "spec.json").write_text(child_input.model_dump_json(indent=2), encoding="utf-8")


def _enter_stage(context: WorkContext, lease: Lease, stage: str) -> None:
    if context.keeper is not None:
        # written soon, and later if the database is away: for showing only
        context.keeper.note({"type": "stage", "stage": stage})
        return
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        jobs.set_stage(session, lease, stage, bus=context.backends.events)


def _apply_success(context: WorkContext, lease: Lease, work: RunWork, done: _Done) -> None:
    try:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            execution.succeed(
                session,
                lease,
                published=done.published,
                results=done.results,
                result_file=done.curve,
                checkpoints=done.checkpoints,
                proof=done.proof,
                bus=context.backends.events,
            )
            checkpoints.forget(session, workspace_id=lease.workspace_id, run_id=work.run_id)
    except Fenced:
        # an earlier try may have gone through, and only its answer been lost
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            if not execution.is_published(session, lease, key_prefix=done.published.key_prefix):
                raise


def _apply_cancel(context: WorkContext, lease: Lease, child: ChildResult) -> None:
    run_id = str(lease.payload["run_id"])
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.cancelled(session, lease, billable_s=child.billable_s, bus=context.backends.events)
        checkpoints.forget(session, workspace_id=lease.workspace_id, run_id=run_id)
    _remove_everything(context, lease, run_id)


def _apply_pause(context: WorkContext, lease: Lease, stopped: JobPaused) -> None:
    error: JobError | None = None
    blame: Blame | None = None
    if stopped.reason == "budget":
        failure = FAILURES["budget_reached"]
        error, blame = error_from(failure), failure.blame
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.note_used(session, lease, billable_s=stopped.result.billable_s)
        state = jobs.pause(session, lease, error=error, blame=blame, bus=context.backends.events)
        if state is None:
            raise Fenced(f"Job {lease.job_id} is no longer ours.")
        if state is JobState.CANCELLED:
            execution.end_cancelled(session, workspace_id=lease.workspace_id, run_id=str(lease.payload["run_id"]))


def _note_used(context: WorkContext, lease: Lease, child: ChildResult) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.note_used(session, lease, billable_s=child.billable_s)


def _fail(
    context: WorkContext,
    lease: Lease,
    failure: Failure,
    child: ChildResult,
    *,
    reported: JobError | None = None,
    is_stored: bool = False,
) -> None:
    def enter() -> None:
        _apply_failure(context, lease, failure, child, reported=reported, is_stored=is_stored)

    as_long_as_ours(context, enter, what="a failure")


def _apply_failure(
    context: WorkContext,
    lease: Lease,
    failure: Failure,
    child: ChildResult,
    *,
    reported: JobError | None,
    is_stored: bool,
) -> None:
    """Fail the job or give it back. What is on this machine only stays: a failed run may be continued."""
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.note_used(session, lease, billable_s=child.billable_s)
        state = give_back_or_fail(session, lease, failure, reported=reported, bus=context.backends.events)
        if state is None:
            raise Fenced(f"Job {lease.job_id} is no longer ours.")
        run_id = str(lease.payload["run_id"])
        if state is JobState.CANCELLED:
            execution.end_cancelled(session, workspace_id=lease.workspace_id, run_id=run_id)
        elif state in TERMINAL:
            execution.end_free(session, workspace_id=lease.workspace_id, run_id=run_id)
    if state is JobState.CANCELLED or (state in TERMINAL and is_stored):
        run_folder.remove(context.settings.runs_dir.resolve(), lease.job_id)


def _remove_everything(context: WorkContext, lease: Lease, run_id: str) -> None:
    run_folder.remove(context.settings.runs_dir.resolve(), lease.job_id)
    prefix = checkpoints.run_prefix(lease.workspace_id, run_id)
    in_background(lambda: context.backends.blobs.delete_prefix(f"{prefix}checkpoints/"), wait_s=_SWEEP_S)
