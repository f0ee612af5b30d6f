"""The admin's read models as bodies."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.monitoring.schemas import (
    AdapterUseBody,
    AdminJobBody,
    AdminJobDetailBody,
    AttemptBody,
    BaseResidenceBody,
    DeviceBody,
    JobWorkspaceBody,
    LeaseBody,
    LogBody,
    ModelServerBody,
    ModelServerListBody,
    ProgressBody,
    QueueBody,
    WorkerBody,
    WorkerJobBody,
    WorkerTokenBody,
    WorkspaceShareBody,
)
from core.inference.types import ServedBase
from core.jobs.models import Job, JobLog
from core.kit.clock import unix_s
from core.monitoring.model_servers import ModelServers
from core.monitoring.types import AttemptView, JobView, QueueView, TokenView, WorkerJob, WorkerView


def queue_body(queue: QueueView) -> QueueBody:
    return QueueBody(
        name=queue.name,
        state=queue.state,
        num_waiting=queue.num_waiting,
        num_scheduled=queue.num_scheduled,
        num_running=queue.num_running,
        num_workers=queue.staff.num_live,
        num_busy_workers=queue.staff.num_busy,
        oldest_wait_s=queue.oldest_wait_s,
        claimed_last_hour=queue.pace.num_claimed,
        finished_last_hour=queue.pace.num_finished,
        failed_last_hour=queue.pace.num_failed,
        median_wait_s=queue.pace.median_wait_s,
        workspaces=[
            WorkspaceShareBody(
                workspace_id=share.workspace_id,
                name=share.workspace_name,
                num_waiting=share.num_waiting,
                num_running=share.num_running,
                max_running=share.max_running,
            )
            for share in queue.shares
        ],
    )


def worker_body(view: WorkerView) -> WorkerBody:
    worker = view.worker
    return WorkerBody(
        id=worker.id,
        hostname=worker.hostname,
        queue=worker.queue,
        pid=worker.pid,
        version=worker.version,
        started_at=unix_s(worker.started_at),
        heartbeat_at=unix_s(worker.heartbeat_at),
        status=view.status,
        hardware=worker.hardware,
        devices=[DeviceBody.model_validate(device) for device in worker.devices],
        memory_bytes=worker.memory_bytes,
        used_memory_bytes=worker.used_memory_bytes,
        num_jobs_done=worker.num_jobs_done,
        token_name=view.token_name,
        job=_worker_job_body(view.job) if view.job else None,
    )


def _worker_job_body(held: WorkerJob) -> WorkerJobBody:
    view, job = held.view, held.view.job
    return WorkerJobBody(
        id=job.id,
        kind=job.kind,
        run_id=view.run_id,
        title=view.title,
        workspace_name=view.workspace_name,
        attempt=job.attempt,
        started_at=unix_s(held.claimed_at),
        stage=job.stage,
        progress=_progress(job),
        lease_expires_at=_unix_s(job.lease_expires_at),
    )


def job_body(view: JobView) -> AdminJobBody:
    return AdminJobBody(**_job_fields(view))


def job_detail_body(view: JobView, attempts: Sequence[AttemptView]) -> AdminJobDetailBody:
    return AdminJobDetailBody(**_job_fields(view), attempts=[_attempt_body(attempt) for attempt in attempts])


def log_body(log: JobLog) -> LogBody:
    return LogBody(seq=log.seq, attempt=log.attempt, text=log.text, created_at=unix_s(log.created_at))


def token_body(token: TokenView) -> WorkerTokenBody:
    return WorkerTokenBody(**token_fields(token))


def token_fields(token: TokenView) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "created_at": unix_s(token.created_at),
        "last_used_at": _unix_s(token.last_used_at),
        "revoked_at": _unix_s(token.revoked_at),
        "num_workers": token.num_workers,
    }


def _job_fields(view: JobView) -> dict[str, Any]:
    job = view.job
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "stage": job.stage,
        "priority": job.priority,
        "workspace": JobWorkspaceBody(id=job.workspace_id, name=view.workspace_name),
        "run_id": view.run_id,
        "title": view.title,
        "attempt": job.attempt,
        "num_interruptions": job.num_interruptions,
        "max_attempts": job.max_attempts,
        "progress": _progress(job),
        "created_at": unix_s(job.created_at),
        "queued_at": _unix_s(job.queued_at),
        "not_before": _unix_s(job.not_before),
        "started_at": _unix_s(job.started_at),
        "finished_at": _unix_s(job.finished_at),
        "wait_s": view.wait_s,
        "lease": _lease(job),
        "error": job.error,
        "blame": job.blame,
        "cancel_requested": job.cancel_requested_at is not None,
        "pause_requested": job.pause_requested_at is not None,
        "created_by": job.created_by,
        "created_by_name": view.created_by_name,
    }


def _attempt_body(view: AttemptView) -> AttemptBody:
    attempt = view.attempt
    return AttemptBody(
        attempt=attempt.attempt,
        worker_id=attempt.worker_id,
        started_at=unix_s(attempt.created_at),
        ended_at=_unix_s(attempt.ended_at),
        outcome=attempt.outcome,
        seconds=view.seconds,
        error=attempt.error,
    )


def _progress(job: Job) -> ProgressBody | None:
    if job.progress_step is None or job.progress_total_steps is None:
        return None
    return ProgressBody(step=job.progress_step, total_steps=job.progress_total_steps)


def _lease(job: Job) -> LeaseBody | None:
    if job.lease_owner is None or job.lease_expires_at is None or job.heartbeat_at is None:
        return None
    return LeaseBody(
        worker_id=job.lease_owner,
        expires_at=unix_s(job.lease_expires_at),
        heartbeat_at=unix_s(job.heartbeat_at),
    )


def _unix_s(moment: datetime | None) -> int | None:
    return None if moment is None else unix_s(moment)


def model_servers_body(found: ModelServers) -> ModelServerListBody:
    return ModelServerListBody(
        data=[_model_server_body(one) for one in found.served],
        status=found.status,
        problem=found.problem,
        max_base_bytes=found.base_budget_bytes,
    )


def _model_server_body(one: ServedBase) -> ModelServerBody:
    residence, adapters = one.residence, one.adapters
    return ModelServerBody(
        base_model=one.base_model,
        runtime=one.runtime,
        status=one.status,
        num_active=one.active,
        num_waiting=one.waiting,
        num_adapters=one.num_adapters,
        num_restarts=one.num_restarts,
        version=one.version,
        is_isolated=one.is_isolated,
        problem=one.problem,
        residence=BaseResidenceBody(**residence.model_dump()) if residence else None,
        adapters=AdapterUseBody(
            num_hits=adapters.hits,
            num_misses=adapters.misses,
            num_evictions=adapters.evictions,
            fetch_s=adapters.fetch_s,
            load_s=adapters.load_s,
            num_bytes=adapters.num_bytes,
        ),
    )
