"""Making a version by changes: its parent's rows, a child process over them, and what differs to the database."""

import shutil
import sys
from pathlib import Path

from sqlalchemy.orm import Session

from core.base_models import service as base_models
from core.datasets.artifacts import VersionArtifact
from core.datasets.changes import DeriveSpec
from core.datasets.ingest import Fenced
from core.datasets.ingest_files import BASE_NAME, CHANGED_NAME, REPORT_NAME, SPEC_NAME, IngestReport
from core.datasets.types import VersionStatus
from core.datasets.versions import derivation
from core.datasets.versions.derivation import Derivation
from core.db.session import workspace_scope
from core.errors import Unavailable
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import run_child
from worker.tasks import datasets, version_files


def run(context: WorkContext, lease: Lease) -> None:
    """Do one attempt at a version; any end but `ready` leaves no row behind."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        work = _load(context, lease)
        if work is None:
            return
        if work.restored is not None:
            _restore(context, lease, work)
            return
        _write_base(context, lease, work, folder)
        child = run_child(
            [sys.executable, "-m", "worker.ingest", str(folder)], folder, lease, context=context, limits=datasets.LIMITS
        )
        if child.exit_code == ExitCode.DONE:
            _publish(context, lease, work, folder)
        else:
            datasets.apply_failure(context, lease, child)
    except Fenced:
        return
    except Unavailable as error:
        if error.error_code not in FAILURES:
            raise
        datasets.end_without_rows(context, lease, FAILURES[error.error_code])
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    """The job ended without its worker: the version will never be ready, and whoever waits for it is told."""
    datasets.settle(session, job)


def _load(context: WorkContext, lease: Lease) -> Derivation | None:
    """None if the version is settled and there is nothing to do."""
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        work = derivation.load(session, lease)
        if work.version.status is not VersionStatus.VALIDATING:
            jobs.finish(session, lease, JobState.SUCCEEDED, bus=context.backends.events)
            return None
    is_clean = False
    while not is_clean:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            is_clean = derivation.discard(session, lease, work.version, lease_s=context.settings.lease_s)
    return work


def _write_base(context: WorkContext, lease: Lease, work: Derivation, folder: Path) -> None:
    base = base_models.default_base_model()
    # tokens are counted as the base model counts them
    tokenizer_dir = base_model_supply.require(context.settings, base.id)
    num_rows = 0
    with (
        context.database.session(workspace_scope(lease.workspace_id)) as session,
        (folder / BASE_NAME).open("w", encoding="utf-8") as out,
    ):
        for row in derivation.base_rows(session, lease, work.parent, base_model=base.id):
            out.write(row.model_dump_json() + "\n")
            num_rows += 1
    spec = DeriveSpec(
        kind=work.version.kind,
        changes=work.changes,
        num_rows=num_rows,
        tokenizer_dir=str(tokenizer_dir),
        max_row_tokens=base.context_tokens,
    )
    (folder / SPEC_NAME).write_text(spec.model_dump_json(), encoding="utf-8")


def _publish(context: WorkContext, lease: Lease, work: Derivation, folder: Path) -> None:
    """Stage what differs in short transactions, each under the lease, then show all of it at once."""
    scope = workspace_scope(lease.workspace_id)
    num_changed = 0
    for batch in datasets.batches(folder / CHANGED_NAME):
        with context.database.session(scope) as session:
            derivation.stage(session, lease, work.version, batch, lease_s=context.settings.lease_s)
        num_changed += len(batch)
    report = IngestReport.model_validate_json((folder / REPORT_NAME).read_bytes())
    values = derivation.values_of(report, base_model=base_models.default_base_model().id)
    artifact = version_files.publish(context, lease, work.version, values, folder)
    with context.database.session(scope) as session:
        derivation.make_ready(session, work, values, num_changed=num_changed, artifact=artifact)
        datasets.end(context, session, lease)


def _restore(context: WorkContext, lease: Lease, work: Derivation) -> None:
    """No row is read: what the earlier version was is known, its files included."""
    restored = work.restored
    if restored is None:
        return
    scope = workspace_scope(lease.workspace_id)
    values = derivation.figures_of(restored)
    artifact = None
    if restored.artifact is not None:
        files = VersionArtifact.model_validate(restored.artifact).files
        artifact = version_files.describe(context, lease, work.version, values, files)
    num_changed = 0
    for numbers in derivation.number_ranges(restored):
        with context.database.session(scope) as session:
            num_changed += derivation.restore(session, lease, work, numbers, lease_s=context.settings.lease_s)
    with context.database.session(scope) as session:
        derivation.make_ready(session, work, values, num_changed=num_changed, artifact=artifact)
        datasets.end(context, session, lease)
