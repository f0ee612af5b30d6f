"""A model made elsewhere: its files to a folder, a child that trusts none of them, and what it checked to the store.

An attempt that is stopped is begun anew by the next: nothing is visible before the last transaction.
"""

import shutil
import sys
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from core.db.session import workspace_scope
from core.errors import NotFound, Unavailable
from core.inference.types import Proof
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, failure_of
from core.jobs.models import Job
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError, Lease
from core.kit.hashing import sha256_file
from core.model_imports import execution
from core.model_imports.child import ADAPTER, REPORT, SPEC, GivenFile, ImportReport, ImportSpec
from core.model_imports.execution import Fenced, ImportWork
from core.training.execution import Published
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildLimits, ChildResult, run_child
from worker.tasks import proving, publishing
from worker.tasks.endings import give_back_or_fail
from worker.tasks.patience import as_long_as_ours, patiently
from worker.tasks.verified_store import MAX_READS

_PATIENCE_S = 10 * 60
# torch reserves far more address space than it uses; what it uses is bounded by `child_memory_bytes`, and what it reads
# by the limits of a package
LIMITS: Final = ChildLimits(max_cpu_s=2 * 3600, max_file_bytes=5 << 30, max_open_files=512)
# no library of it is to look for anything elsewhere
_ENVIRONMENT: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def run(context: WorkContext, lease: Lease) -> None:
    """Do all of it."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _run(context, lease, folder)
    except Fenced:
        return
    except NotFound as error:
        _refuse(context, lease, JobError(code=error.error_code, message=error.message))
    except Unavailable as error:
        code = error.error_code if error.error_code in FAILURES else "internal_error"
        _fail(context, lease, FAILURES[code], None)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    """Nothing to bring in order: an import without a model is none, and what it left is swept."""


def _run(context: WorkContext, lease: Lease, folder: Path) -> None:
    work = patiently(context, lambda: _load(context, lease), what="the start of an import", for_s=_PATIENCE_S)
    record = work.record
    # before anything is fetched: if the base is missing here, all of it is done again
    base_model_dir = base_model_supply.require(context.settings, record.base_model)
    _stage(context, "fetching")
    given = patiently(context, lambda: _fetch(context, work, folder), what="fetching its files", for_s=_PATIENCE_S)
    spec = ImportSpec.model_validate(
        {
            "base_model": record.base_model,
            "base_model_dir": base_model_dir,
            "files": given,
            "is_base_confirmed": record.is_base_confirmed,
            "quantization": record.quantization,
            "num_threads": context.settings.num_cpu_threads,
        }
    )
    (folder / SPEC).write_text(spec.model_dump_json(indent=2), encoding="utf-8")
    argv = [sys.executable, "-m", "worker.model_import", str(folder)]
    child = run_child(argv, folder, lease, context=context, limits=LIMITS, env=_ENVIRONMENT)
    if child.exit_code != ExitCode.DONE:
        _fail(context, lease, _failure_of(child), child.error)
        return
    report = ImportReport.model_validate_json((folder / REPORT).read_bytes())
    _stage(context, "publishing")
    prefix = f"{execution.key_prefix(lease.workspace_id, record.id)}a{lease.attempt}"
    published = publishing.publish_patiently(context, folder / ADAPTER, prefix, child)
    _stage(context, "proving")
    proof = proving.prove(
        context, published, source_id=record.id, base_model=record.base_model, quantization=report.quantization
    )
    patiently(
        context,
        lambda: _succeed(context, lease, published, report, proof),
        what="an import's end",
        for_s=_PATIENCE_S,
        so_far=child,
    )


def _load(context: WorkContext, lease: Lease) -> ImportWork:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        loaded = execution.load(session, lease)
        session.expunge_all()
        return loaded


def _fetch(context: WorkContext, work: ImportWork, folder: Path) -> list[GivenFile]:
    """The files under names of ours, each with its digest compared. Raises `Unavailable` (`file_corrupt`)."""
    given = []
    for number, source in enumerate(work.sources):
        path = folder / f"given-{number}"
        for _ in range(MAX_READS):
            context.backends.blobs.download(source.object_key, path)
            if sha256_file(path) == source.about.sha256:
                break
        else:
            raise Unavailable("The stored file is not the one that was uploaded.", code="file_corrupt")
        given.append(GivenFile(name=source.about.filename, path=path))
    return given


def _stage(context: WorkContext, stage: str) -> None:
    """Also the place where a cancel is heard between two pieces of work."""
    if context.keeper is not None:
        context.keeper.note({"type": "stage", "stage": stage})


def _succeed(
    context: WorkContext, lease: Lease, published: Published, report: ImportReport, proof: Proof | None
) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.succeed(
            session, lease, published=published, report=report, proof=proof, bus=context.backends.events
        )  # fmt: skip


def _failure_of(child: ChildResult) -> Failure:
    return failure_of(
        child.exit_code,
        child.error,
        memory_was_exhausted=child.memory_was_exhausted,
        made_no_progress=child.made_no_progress,
    )


def _fail(context: WorkContext, lease: Lease, failure: Failure, reported: JobError | None) -> None:
    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            give_back_or_fail(session, lease, failure, reported=reported, bus=context.backends.events)

    as_long_as_ours(context, enter, what="a failure")


def _refuse(context: WorkContext, lease: Lease, error: JobError) -> None:
    """To try again by itself would not help."""

    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            bus = context.backends.events
            jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.USER_ERROR, bus=bus)

    as_long_as_ours(context, enter, what="a refusal")
