"""Reading a dataset version: the file to a folder, a child process over it, its rows to the database."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models import service as base_models
from core.datasets import ingest
from core.datasets.ingest import Source
from core.datasets.ingest_files import (
    REPORT_NAME,
    ROWS_NAME,
    SOURCE_NAME,
    SPEC_NAME,
    IngestedRow,
    IngestReport,
    IngestSpec,
)
from core.datasets.types import Mapping, VersionStatus
from core.db.session import workspace_scope
from core.errors import Unavailable
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, FailureClass, RetryPolicy, failure_of
from core.jobs.models import Job
from core.jobs.states import TERMINAL, JobState
from core.jobs.types import JobError, Lease
from core.kit.hashing import sha256_file
from core.training import service as training
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildLimits, ChildResult, run_child
from worker.tasks import version_files
from worker.tasks.endings import give_back_or_fail
from worker.tasks.verified_store import MAX_READS

_MIB = 1024 * 1024
# the tokenizer and two digests a row need a few hundred MiB; a file that needs more is an attack
_MAX_MEMORY_BYTES = 4096 * _MIB
_MAX_CPU_S = 1800
_MAX_FILE_BYTES = 8192 * _MIB
LIMITS = ChildLimits(max_memory_bytes=_MAX_MEMORY_BYTES, max_cpu_s=_MAX_CPU_S, max_file_bytes=_MAX_FILE_BYTES)


def run(context: WorkContext, lease: Lease) -> None:
    """Do one attempt at a version; any end but `ready` leaves no row behind."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        if not _load(context, lease, folder):
            return
        child = run_child(
            [sys.executable, "-m", "worker.ingest", str(folder)],
            folder,
            lease,
            context=context,
            limits=LIMITS,
        )
        if child.exit_code == ExitCode.DONE:
            _publish(context, lease, folder)
        else:
            apply_failure(context, lease, child)
    except ingest.Fenced:
        return
    except Unavailable as error:
        if error.error_code not in FAILURES:
            raise
        end_without_rows(context, lease, FAILURES[error.error_code])
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    """The job ended without its worker: the version will never be ready, and whoever waits for it is told."""
    _settle(session, job)


def _load(context: WorkContext, lease: Lease, folder: Path) -> bool:
    """Bring in all that the child needs. False if the version is settled and there is nothing to do."""
    base = base_models.default_base_model()
    # tokens are counted as the base model counts them
    tokenizer_dir = base_model_supply.require(context.settings, base.id)
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        source = ingest.source_of(session, lease)
        if source.version.status is not VersionStatus.VALIDATING:
            jobs.finish(session, lease, JobState.SUCCEEDED, bus=context.backends.events)
            return False
    is_clean = False
    while not is_clean:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            is_clean = ingest.discard_rows(session, lease, lease_s=context.settings.lease_s)
    _fetch(context, source, folder / SOURCE_NAME)
    spec = _spec(source, str(tokenizer_dir), base.context_tokens)
    (folder / SPEC_NAME).write_text(spec.model_dump_json(), encoding="utf-8")
    return True


def _fetch(context: WorkContext, source: Source, path: Path) -> None:
    for _ in range(MAX_READS):
        context.backends.blobs.download(source.file.object_key, path)
        if sha256_file(path) == source.file.sha256:
            return
    raise Unavailable("The stored file is not the one that was uploaded.", code="file_corrupt")


def _spec(source: Source, tokenizer_dir: str, max_row_tokens: int) -> IngestSpec:
    mapping = source.version.mapping
    return IngestSpec(
        format=source.file.format,
        mapping=None if mapping is None else Mapping.model_validate(mapping),
        tokenizer_dir=tokenizer_dir,
        max_row_tokens=max_row_tokens,
    )


def _publish(context: WorkContext, lease: Lease, folder: Path) -> None:
    """Stage the rows in short transactions, each under the lease, then show them all at once."""
    scope = workspace_scope(lease.workspace_id)
    for batch in batches(folder / ROWS_NAME):
        with context.database.session(scope) as session:
            ingest.insert_rows(session, lease, batch, lease_s=context.settings.lease_s)
    report = IngestReport.model_validate_json((folder / REPORT_NAME).read_bytes())
    base_model = base_models.default_base_model().id
    with context.database.session(scope) as session:
        version = ingest.source_of(session, lease).version
    figures = report.model_dump(mode="json") | {"base_model": base_model}
    artifact = version_files.publish(context, lease, version, figures, folder)
    with context.database.session(scope) as session:
        ingest.make_ready(session, lease, report, base_model=base_model, artifact=artifact)
        end(context, session, lease)


def apply_failure(context: WorkContext, lease: Lease, child: ChildResult) -> None:
    failure = failure_of(
        child.exit_code,
        child.error,
        memory_was_exhausted=child.memory_was_exhausted,
        made_no_progress=child.made_no_progress,
    )
    if failure.failure_class is FailureClass.OUT_OF_MEMORY:
        # reading cannot be done in smaller portions, only once more
        failure = replace(failure, retry=RetryPolicy(max_retries=1))
    end_without_rows(context, lease, failure, reported=child.error)


def end_without_rows(context: WorkContext, lease: Lease, failure: Failure, *, reported: JobError | None = None) -> None:
    bus = context.backends.events
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        state = give_back_or_fail(session, lease, failure, reported=reported, bus=bus)
        if state in TERMINAL:
            job = jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
            _settle(session, job, queue=context.backends.queue, bus=bus)


def _settle(session: Session, job: Job, *, queue: TaskQueue | None = None, bus: EventBus | None = None) -> None:
    error = job.error or {"code": "ingest_cancelled", "message": "Reading the examples was cancelled."}
    version_id = str(job.payload["version_id"])
    kept = JobError(code=str(error["code"]), message=str(error["message"]), details=error.get("details") or {})
    if ingest.fail(session, workspace_id=job.workspace_id, version_id=version_id, error=kept):
        training.on_version_finished(
            session, workspace_id=job.workspace_id, version_id=version_id, queue=queue, bus=bus
        )


def end(context: WorkContext, session: Session, lease: Lease) -> None:
    """End the job beside its version, and tell the runs that wait for it. Raises Fenced, which undoes all of it."""
    if not jobs.finish(session, lease, JobState.SUCCEEDED, bus=context.backends.events):
        raise ingest.Fenced
    training.on_version_finished(
        session,
        workspace_id=lease.workspace_id,
        version_id=str(lease.payload["version_id"]),
        queue=context.backends.queue,
        bus=context.backends.events,
    )


def batches(path: Path) -> Iterator[list[IngestedRow]]:
    with path.open("rb") as lines:
        while batch := [IngestedRow.model_validate_json(line) for line in islice(lines, ingest.ROWS_PER_BATCH)]:
            yield batch
