"""What whoever runs the installation may do to workers and to anybody's jobs. Needs a system session.

What is done to a workspace's job or limit is in that workspace's audit log; what is done to a worker or a token, which
belong to none, is in the log of the installation.
"""

from dataclasses import replace
from typing import Any, Literal, assert_never

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.datasets import imports, ingest
from core.erasures import service as erasures
from core.errors import Conflict
from core.exports import service as exports
from core.jobs import service as leased
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.news import ring_after_commit
from core.jobs.states import JobState
from core.jobs.types import JobError
from core.model_imports import service as model_imports
from core.monitoring.jobs import find_any
from core.monitoring.types import MadeToken
from core.monitoring.workers import get_worker
from core.training import control, execution
from core.training import service as training
from core.training.scaling import execution as scaling_execution
from core.training.scaling import service as scaling
from core.workers import service as joined
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal

_CANCELLED = JobError(code="ingest_cancelled", message="Reading the examples was cancelled by an admin.")


def kill(
    session: Session, *, principal: Principal, job_id: str, queue: TaskQueue | None = None, bus: EventBus | None = None
) -> None:
    """Take the lease of a running job away; it is queued again. Raises `Conflict` for a job that does not run."""
    before = find_any(session, job_id=job_id)
    attempt, worker_id = before.attempt, before.lease_owner
    job = leased.kill(session, job_id=job_id, bus=bus)
    if job is None:
        raise Conflict(
            f"Job {job_id} does not run, so there is no lease to take away.",
            code="job_state_conflict",
            details={"state": before.state.value},
        )
    if job.state is JobState.QUEUED:
        ring_after_commit(session, job, queue)
    _settle(session, job, queue=queue, bus=bus)
    _record(session, principal, job, "admin.job_killed", {"attempt": attempt, "worker_id": worker_id})


def retry(
    session: Session, *, principal: Principal, job_id: str, queue: TaskQueue | None = None, bus: EventBus | None = None
) -> None:
    """Queue a failed or paused job again. Raises `Conflict` for any other, and for what cannot be taken up again."""
    before = find_any(session, job_id=job_id)
    state = before.state
    if state not in {JobState.FAILED, JobState.PAUSED}:
        raise Conflict(
            f"Job {job_id} is {state}; only one that failed or is paused can be tried again.",
            code="job_state_conflict",
            details={"state": state.value},
        )
    match before.kind:
        case JobKind.FILE_IMPORT:
            raise Conflict(
                "Where a file was to come from is not kept once its import is over. Import it anew under Data.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.DATASET_INGEST | JobKind.DATASET_DERIVE:
            raise Conflict(
                "A version whose examples could not be read stays as it is. Read the file, or change them, once more "
                "under Data.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.SCALING_STUDY:
            raise Conflict(
                "A study of examples is not taken up again. Ask for a new one on their page.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.MODEL_EXPORT:
            raise Conflict(
                "A model that could not be packed is packed anew on its page.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.MODEL_IMPORT:
            raise Conflict(
                "A model that could not be brought in is brought anew on the page of models.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.PERSON_ERASURE:
            there = replace(principal, workspace_id=before.workspace_id)
            erasures.confirm(
                session, principal=there, erasure_id=str(before.payload["erasure_id"]), queue=queue, bus=bus
            )
        case JobKind.TRAINING_RUN:
            there = replace(principal, workspace_id=before.workspace_id)
            control.resume(session, principal=there, run_id=str(before.payload["run_id"]), queue=queue, bus=bus)
        case _:
            assert_never(before.kind)
    _record(session, principal, before, "admin.job_retried", {"state": state.value})


def cancel(
    session: Session, *, principal: Principal, job_id: str, queue: TaskQueue | None = None, bus: EventBus | None = None
) -> None:
    """Cancel a job, at once if nobody works on it. Twice changes nothing; raises `Conflict` for one that ended."""
    before = find_any(session, job_id=job_id)
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    state = before.state
    match before.kind:
        case JobKind.FILE_IMPORT | JobKind.DATASET_INGEST | JobKind.DATASET_DERIVE:
            job = leased.request_cancel(session, workspace_id=before.workspace_id, job_id=job_id, bus=bus)
            _settle(session, job, queue=queue, bus=bus)
        case JobKind.MODEL_EXPORT:
            there = replace(principal, workspace_id=before.workspace_id)
            exports.cancel(session, principal=there, export_id=str(before.payload["export_id"]), bus=bus)
        case JobKind.MODEL_IMPORT:
            there = replace(principal, workspace_id=before.workspace_id)
            model_imports.cancel(session, principal=there, import_id=str(before.payload["import_id"]), bus=bus)
        case JobKind.PERSON_ERASURE:
            raise Conflict(
                "A person's rows that are being removed are not brought back, and half of them removed helps nobody. "
                "Let it end.",
                code="job_state_conflict",
                details={"state": state.value},
            )
        case JobKind.SCALING_STUDY:
            there = replace(principal, workspace_id=before.workspace_id)
            scaling.cancel(session, principal=there, study_id=str(before.payload["study_id"]), bus=bus)
        case JobKind.TRAINING_RUN:
            there = replace(principal, workspace_id=before.workspace_id)
            training.cancel(session, principal=there, run_id=str(before.payload["run_id"]), bus=bus)
        case _:
            assert_never(before.kind)
    if is_first:
        _record(session, principal, before, "admin.job_cancelled", {"state": state.value})


def change_limit(
    session: Session, *, principal: Principal, queue: QueueName, workspace_id: str, max_running: int | None
) -> None:
    """How many jobs of a workspace may run in a queue at once; None for the installation's limit."""
    workspaces.get_workspace(session, workspace_id=workspace_id)
    leased.set_max_running(session, queue_name=queue, workspace_id=workspace_id, max_running=max_running)
    audit.record(
        session,
        principal=replace(principal, workspace_id=workspace_id),
        action="admin.limit_changed",
        target_id=workspace_id,
        details={"queue": queue.value, "max_running": max_running},
    )


def change_storage(session: Session, *, principal: Principal, workspace_id: str, max_bytes: int | None) -> None:
    """What a workspace's files may take together; None for the installation's limit."""
    workspaces.set_max_stored_bytes(session, workspace_id=workspace_id, max_stored_bytes=max_bytes)
    audit.record(
        session,
        principal=replace(principal, workspace_id=workspace_id),
        action="admin.storage_changed",
        target_id=workspace_id,
        details={"max_bytes": max_bytes},
    )


def drain(session: Session, *, principal: Principal, worker_id: str, mode: Literal["finish", "now"]) -> None:
    """Let a worker claim nothing more."""
    worker = get_worker(session, worker_id=worker_id).worker
    joined.drain(session, worker_id=worker_id, mode=mode)
    audit.record_above(
        session,
        principal=principal,
        action="admin.worker_drained",
        target_id=worker_id,
        details={"mode": mode, "hostname": worker.hostname},
    )


def undrain(session: Session, *, principal: Principal, worker_id: str) -> None:
    """Let a worker claim again, if it has not left meanwhile."""
    worker = get_worker(session, worker_id=worker_id).worker
    joined.undrain(session, worker_id=worker_id)
    audit.record_above(
        session,
        principal=principal,
        action="admin.worker_undrained",
        target_id=worker_id,
        details={"hostname": worker.hostname},
    )


def create_token(session: Session, *, principal: Principal, name: str) -> MadeToken:
    """A way in for workers on other machines."""
    token, secret = joined.create_token(session, name=name, created_by=principal.user_id)
    audit.record_above(
        session,
        principal=principal,
        action="admin.worker_token_created",
        target_id=token.id,
        details={"name": token.name},
    )
    return MadeToken(token_id=token.id, secret=secret)


def revoke_token(session: Session, *, principal: Principal, token_id: str) -> None:
    """No worker joins with it any more, and those that did hand back their jobs and claim no more."""
    token = joined.revoke_token(session, token_id=token_id)
    audit.record_above(
        session,
        principal=principal,
        action="admin.worker_token_revoked",
        target_id=token_id,
        details={"name": token.name},
    )


def _settle(session: Session, job: Job, *, queue: TaskQueue | None, bus: EventBus | None) -> None:
    """Bring in order what belongs to a job that was cancelled here, for no worker will."""
    if job.state is not JobState.CANCELLED:
        return
    match job.kind:
        case JobKind.FILE_IMPORT:
            imports.settle(session, job)
        case JobKind.DATASET_INGEST | JobKind.DATASET_DERIVE:
            version_id = str(job.payload["version_id"])
            ingest.fail(session, workspace_id=job.workspace_id, version_id=version_id, error=_CANCELLED)
            training.on_version_finished(
                session, workspace_id=job.workspace_id, version_id=version_id, queue=queue, bus=bus
            )
        case JobKind.MODEL_EXPORT | JobKind.MODEL_IMPORT:
            pass  # it has no files, and what it left is swept
        case JobKind.PERSON_ERASURE:
            pass  # it is never cancelled, and what it did is written down beside it
        case JobKind.SCALING_STUDY:
            scaling_execution.settle(session, job)
        case JobKind.TRAINING_RUN:
            execution.end_cancelled(session, workspace_id=job.workspace_id, run_id=str(job.payload["run_id"]))
        case _:
            assert_never(job.kind)


def _record(session: Session, principal: Principal, job: Job, action: str, details: dict[str, Any]) -> None:
    audit.record(
        session,
        principal=replace(principal, workspace_id=job.workspace_id),
        action=action,
        target_id=str(job.payload.get("run_id", job.id)),
        details={"job_id": job.id, "kind": job.kind.value} | details,
    )
