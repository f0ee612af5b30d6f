"""A study of whether rows are enough: the trainer over a quarter, a half and all of them, one after the other.

Each part is a child like that of a run, in a folder of its own, and is entered when it is done: whoever goes on with
the study begins with the next one. What a child had done of a part when it was stopped is lost, and not paid for.
"""

import os
import shutil
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.orm import Session

from core.datasets.types import Split
from core.db.session import workspace_scope
from core.errors import Unavailable
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, failure_of
from core.jobs.models import Job
from core.jobs.states import TERMINAL
from core.jobs.types import JobError, Lease
from core.training import billing
from core.training.execution import Fenced
from core.training.scaling import execution
from core.training.scaling.execution import StudyWork
from core.training.scaling.parts import DIVISORS, places_of, sizes_of, spec_of
from core.training.scaling.types import HeldoutLosses, Measured
from core.training.spec import HELDOUT_LOSSES_NAME, Lineage, RunInput
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildResult, JobCancelled, run_child
from worker.tasks import run_folder
from worker.tasks.endings import give_back_or_fail
from worker.tasks.patience import as_long_as_ours, patiently
from worker.training import several

_TRAIN, _HELDOUT = "train.jsonl", "heldout.jsonl"
_MAX_LOSSES_BYTES = 2**20
_PATIENCE_S = 5 * 60
# there is nothing to continue from: a part that is stopped begins anew
_NEVER_S = 10.0**9


def run(context: WorkContext, lease: Lease) -> None:
    """Do the parts that are left."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _run(context, lease, folder)
    except JobCancelled as stopped:
        used_s = stopped.result.billable_s
        as_long_as_ours(context, lambda: _apply_cancel(context, lease, used_s), what="a cancel")
    except Fenced:
        return
    except Unavailable as error:
        code = error.error_code if error.error_code in FAILURES else "internal_error"
        _fail(context, lease, FAILURES[code], None)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    execution.settle(session, job)


def _run(context: WorkContext, lease: Lease, folder: Path) -> None:
    work = patiently(context, lambda: _load(context, lease), what="the start of a study", for_s=_PATIENCE_S)
    base_model_dir = base_model_supply.require(context.settings, work.spec.base_model)
    patiently(context, lambda: _write_rows(context, lease, folder, work), what="reading its rows", for_s=_PATIENCE_S)
    for place in range(work.num_done, len(DIVISORS)):
        part = folder / f"part-{place}"
        _prepare(context, lease, folder, part, work, place, base_model_dir)
        child = run_child(several.command(context.trainer_argv, part, 1), part, lease, context=context)
        if child.exit_code != ExitCode.DONE:
            failure = failure_of(
                child.exit_code,
                child.error,
                memory_was_exhausted=child.memory_was_exhausted,
                made_no_progress=child.made_no_progress,
            )
            _fail(context, lease, failure, child.error)
            return
        _enter(context, lease, _measured(part, work, place, child))
        # its adapter is nobody's
        shutil.rmtree(part)
    patiently(context, lambda: _succeed(context, lease), what="a study's end", for_s=_PATIENCE_S)


def _load(context: WorkContext, lease: Lease) -> StudyWork:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        return execution.load(session, lease)


def _write_rows(context: WorkContext, lease: Lease, folder: Path, work: StudyWork) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        for name, split in ((_TRAIN, Split.TRAIN), (_HELDOUT, Split.HELDOUT)):
            run_folder.write_rows(folder / name, execution.rows(session, lease, work, split))


def _prepare(
    context: WorkContext, lease: Lease, folder: Path, part: Path, work: StudyWork, place: int, base_model_dir: Path
) -> None:
    part.mkdir()
    os.link(folder / _HELDOUT, part / _HELDOUT)
    chosen = places_of(work.num_train, seed=work.spec.seed)[place]
    with (folder / _TRAIN).open(encoding="utf-8") as rows, (part / _TRAIN).open("w", encoding="utf-8") as out:
        out.writelines(line for number, line in enumerate(rows) if number in chosen)
    child_input = RunInput(
        **spec_of(work.spec, place, num_train=work.num_train).model_dump(),
        base_model_dir=base_model_dir,
        num_threads=context.settings.num_cpu_threads,
        checkpoint_every_s=_NEVER_S,
        micro_batch_divisor=int(lease.payload.get("micro_batch_divisor", 1)),
        keep_heldout_losses=True,
        # several processes are for models that one card cannot hold, or that take hours
        execution=work.execution.model_copy(update={"num_processes": 1, "sharding": "none"}),
        lineage=Lineage(attempt=lease.attempt, dataset_version_id=work.dataset_version_id),
    )
    (part / "spec.json").write_text(child_input.model_dump_json(indent=2), encoding="utf-8")
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.begin_part(session, lease, work, place, bus=context.backends.events)


def _measured(part: Path, work: StudyWork, place: int, child: ChildResult) -> Measured:
    """Raises ValueError for what is none: the attempt is then given back as a fault of ours."""
    path = part / HELDOUT_LOSSES_NAME
    if not path.is_file() or path.stat().st_size > _MAX_LOSSES_BYTES:
        raise ValueError("the trainer did not say what the held-out rows came to")
    try:
        told = HeldoutLosses.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError("what the trainer says of the held-out rows cannot be used") from error
    results = child.result or {}
    return Measured(
        losses=told.losses,
        weights=told.weights,
        num_rows=sizes_of(work.num_train)[place],
        base_loss=_loss_of(results.get("base_heldout_loss")),
        billable_s=billing.seconds_of(results.get("billable_s")),
        trained_tokens=int(billing.seconds_of(results.get("trained_tokens"))),
    )


def _loss_of(reported: object) -> float | None:
    return float(reported) if isinstance(reported, int | float) and not isinstance(reported, bool) else None


def _enter(context: WorkContext, lease: Lease, measured: Measured) -> None:
    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            execution.enter_part(session, lease, measured)

    patiently(context, enter, what="entering a part", for_s=_PATIENCE_S)


def _succeed(context: WorkContext, lease: Lease) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.succeed(session, lease, bus=context.backends.events)


def _apply_cancel(context: WorkContext, lease: Lease, billable_s: float) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.cancelled(session, lease, billable_s=billable_s, bus=context.backends.events)


def _fail(context: WorkContext, lease: Lease, failure: Failure, reported: JobError | None) -> None:
    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            state = give_back_or_fail(session, lease, failure, reported=reported, bus=context.backends.events)
            if state in TERMINAL:
                job = jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
                execution.settle(session, job)

    as_long_as_ours(context, enter, what="a failure")
