"""Removing a person's rows: from the database, then from each version's files, then the files that were uploaded.

Each step is entered when it is done, and all of them can be done twice: whoever goes on with it does what is left.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from core.base_models import service as base_models
from core.datasets.changes import DeriveSpec
from core.datasets.ingest import Fenced
from core.datasets.ingest_files import BASE_NAME, REPORT_NAME, SPEC_NAME, IngestReport
from core.datasets.models import DatasetVersion
from core.datasets.types import VersionStatus
from core.datasets.versions import derivation
from core.db.session import workspace_scope
from core.erasures import execution
from core.erasures.coverage import KEPT
from core.erasures.execution import Work
from core.errors import Unavailable
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, failure_of
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import JobError, Lease
from core.kit.sealing import Unsealable
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildResult, run_child
from worker.tasks import datasets, version_files
from worker.tasks.endings import give_back_or_fail


class _Failed(Exception):
    """A child could not describe what is left of a version."""

    def __init__(self, child: ChildResult) -> None:
        super().__init__(child.exit_code)
        self.child = child


def run(context: WorkContext, lease: Lease) -> None:
    """Do what is left."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _run(context, lease, folder)
    except Fenced:
        return
    except Unsealable:
        _fail(context, lease, FAILURES["internal_error"], _LOST_KEY)
    except _Failed as failed:
        child = failed.child
        failure = failure_of(
            child.exit_code,
            child.error,
            memory_was_exhausted=child.memory_was_exhausted,
            made_no_progress=child.made_no_progress,
        )
        _fail(context, lease, failure, child.error)
    except Unavailable as error:
        if error.error_code not in FAILURES:
            raise
        _fail(context, lease, FAILURES[error.error_code], None)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    """Nothing to bring in order: confirmed again, it goes on."""


_LOST_KEY = JobError(
    code="erasure_terms_lost",
    message="What was to be looked for cannot be read any more, for the key that sealed it is gone. Search anew.",
)


def _run(context: WorkContext, lease: Lease, folder: Path) -> None:
    scope, lease_s = workspace_scope(lease.workspace_id), context.settings.lease_s
    blobs = context.backends.blobs
    with context.database.session(scope) as session:
        work = execution.begin(session, lease, sealer=context.settings.sealer(), lease_s=lease_s)
        if work is None:
            jobs.finish(session, lease, JobState.SUCCEEDED, bus=context.backends.events)
            return
    _until_done(context, lease, partial(execution.delete_rows, lease=lease, work=work, lease_s=lease_s))
    for version_id in work.version_ids:
        _rewrite(context, lease, work, version_id, folder / version_id)
    with context.database.session(scope) as session:
        needless = execution.needless_keys(session, lease, blobs.keys, lease_s=lease_s)
        needless += execution.erase_files(session, lease, work, lease_s=lease_s)
    for key in needless:
        blobs.delete(key)
    for kept in KEPT:
        _until_done(context, lease, partial(execution.take_out, lease=lease, work=work, kept=kept, lease_s=lease_s))
    with context.database.session(scope) as session:
        execution.succeed(session, lease, work, bus=context.backends.events)


def _until_done(context: WorkContext, lease: Lease, part: Callable[[Session], bool]) -> None:
    """One transaction after another, until one says that it was the last."""
    is_done = False
    while not is_done:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            is_done = part(session)


def _rewrite(context: WorkContext, lease: Lease, work: Work, version_id: str, folder: Path) -> None:
    """What the version is without the rows: its figures, what was found in it, its files."""
    scope = workspace_scope(lease.workspace_id)
    with context.database.session(scope) as session:
        version = execution.version_to_write(session, lease, work, version_id)
    values: dict[str, Any] = {}
    artifact = None
    if version.status is VersionStatus.READY:
        folder.mkdir()
        num_erased = _write_base(context, lease, version, folder)
        argv = [sys.executable, "-m", "worker.ingest", str(folder)]
        child = run_child(argv, folder, lease, context=context, limits=datasets.LIMITS)
        if child.exit_code != ExitCode.DONE:
            raise _Failed(child)
        report = IngestReport.model_validate_json((folder / REPORT_NAME).read_bytes())
        values = derivation.values_of(report, base_model=base_models.default_base_model().id)
        artifact = version_files.publish(context, lease, version, values | {"num_erased": num_erased}, folder)
        shutil.rmtree(folder)
    with context.database.session(scope) as session:
        execution.apply(
            session,
            lease,
            work,
            version_id,
            values=values,
            artifact=artifact,
            lease_s=context.settings.lease_s,
        )


def _write_base(context: WorkContext, lease: Lease, version: DatasetVersion, folder: Path) -> int:
    """All that the child needs; how many rows the version has lost."""
    base = base_models.default_base_model()
    tokenizer_dir = base_model_supply.require(context.settings, base.id)
    num_rows = 0
    with (
        context.database.session(workspace_scope(lease.workspace_id)) as session,
        (folder / BASE_NAME).open("w", encoding="utf-8") as out,
    ):
        for row in execution.rows_left(session, lease, version, base_model=base.id):
            out.write(row.model_dump_json() + "\n")
            num_rows += 1
        num_erased = version.num_erased + execution.num_erased(session, lease, version.id)
    spec = DeriveSpec(
        kind=version.kind,
        changes=[],
        num_rows=num_rows,
        tokenizer_dir=str(tokenizer_dir),
        max_row_tokens=base.context_tokens,
        keeps_all=True,
    )
    (folder / SPEC_NAME).write_text(spec.model_dump_json(), encoding="utf-8")
    return num_erased


def _fail(context: WorkContext, lease: Lease, failure: Failure, reported: JobError | None) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        give_back_or_fail(session, lease, failure, reported=reported, bus=context.backends.events)
