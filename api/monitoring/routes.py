"""For whoever runs the installation: queues, workers and jobs of all workspaces, and what can be done about them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from sqlalchemy.orm import Session

from api.dependencies import BackendsDep, DatabaseDep, InferenceDep, SettingsDep, require
from api.monitoring.bodies import (
    job_body,
    job_detail_body,
    log_body,
    model_servers_body,
    queue_body,
    token_body,
    token_fields,
    worker_body,
)
from api.monitoring.schemas import (
    AdminJobBody,
    AdminJobDetailBody,
    DrainBody,
    LimitChangeBody,
    LogListBody,
    MadeWorkerTokenBody,
    ModelServerListBody,
    NewWorkerTokenBody,
    QueueBody,
    QueueListBody,
    StorageChangeBody,
    WorkerBody,
    WorkerListBody,
    WorkerTokenBody,
    WorkerTokenListBody,
)
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.transactions import session_in_turn
from api.usage.schemas import StorageBody, storage_body
from core.datasets import files
from core.db.session import SYSTEM
from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import JobState
from core.monitoring import actions, jobs, model_servers, queues, workers
from core.monitoring.join_command import join_command
from core.monitoring.types import JobFilter
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["admin"], route_class=RetriedRoute)

AdminDep = Annotated[Principal, Depends(require(Permission.INSTALLATION_ADMIN))]

_MAX_LOGS = 1000


async def _system_session(request: Request, principal: AdminDep, database: DatabaseDep) -> Session:
    del principal  # asked for, so that nobody else's request ever opens this session
    return await session_in_turn(request, database, SYSTEM)


SystemSessionDep = Annotated[Session, Depends(_system_session)]


@router.get("/v1/admin/queues")
def list_queues(principal: AdminDep, session: SystemSessionDep, settings: SettingsDep) -> QueueListBody:
    """Every queue: what waits, who works, and whether it moves."""
    del principal
    return QueueListBody(data=[queue_body(queue) for queue in queues.list_queues(session, settings=settings)])


@router.patch("/v1/admin/queues/{queue}/workspaces/{workspace_id}")
def change_limit(
    queue: QueueName,
    workspace_id: str,
    body: LimitChangeBody,
    principal: AdminDep,
    session: SystemSessionDep,
    settings: SettingsDep,
) -> QueueBody:
    """How many jobs of a workspace may run in this queue at once."""
    actions.change_limit(
        session, principal=principal, queue=queue, workspace_id=workspace_id, max_running=body.max_running
    )
    return queue_body(queues.get_queue(session, queue=queue, settings=settings))


@router.patch("/v1/admin/workspaces/{workspace_id}/storage")
def change_storage(
    workspace_id: str,
    body: StorageChangeBody,
    principal: AdminDep,
    session: SystemSessionDep,
    settings: SettingsDep,
) -> StorageBody:
    """How many bytes a workspace's files may take."""
    actions.change_storage(session, principal=principal, workspace_id=workspace_id, max_bytes=body.max_bytes)
    limit = settings.max_workspace_bytes
    return storage_body(files.storage(session, workspace_id=workspace_id, max_stored_bytes=limit))


@router.get("/v1/admin/workers")
def list_workers(principal: AdminDep, session: SystemSessionDep) -> WorkerListBody:
    """Every worker that is alive or was until lately, and what it works on."""
    del principal
    return WorkerListBody(data=[worker_body(worker) for worker in workers.list_workers(session)])


@router.get("/v1/admin/model_servers")
def list_model_servers(principal: AdminDep, inference: InferenceDep) -> ModelServerListBody:
    """Which runtime answers for which base model, and how that goes; asked of the model server itself."""
    del principal
    return model_servers_body(model_servers.look(inference))


@router.post("/v1/admin/workers/{worker_id}/drain")
def drain_worker(worker_id: str, body: DrainBody, principal: AdminDep, session: SystemSessionDep) -> WorkerBody:
    """Let a worker take no more jobs: it ends the one it has, or hands it on with its checkpoint."""
    actions.drain(session, principal=principal, worker_id=worker_id, mode=body.mode)
    return worker_body(workers.get_worker(session, worker_id=worker_id))


@router.post("/v1/admin/workers/{worker_id}/undrain")
def undrain_worker(worker_id: str, principal: AdminDep, session: SystemSessionDep) -> WorkerBody:
    """Let a draining worker take jobs again."""
    actions.undrain(session, principal=principal, worker_id=worker_id)
    return worker_body(workers.get_worker(session, worker_id=worker_id))


@router.get("/v1/admin/jobs")
def list_jobs(
    principal: AdminDep,
    session: SystemSessionDep,
    page: PageDep,
    state: JobState | None = None,
    queue: QueueName | None = None,
    kind: JobKind | None = None,
    workspace_id: str | None = None,
) -> ListBody[AdminJobBody]:
    """The jobs of all workspaces, newest first."""
    del principal
    wanted = JobFilter(state=state, queue=queue, kind=kind, workspace_id=workspace_id)
    return list_body(jobs.list_jobs(session, page=page, wanted=wanted), job_body)


@router.get("/v1/admin/jobs/{job_id}")
def get_job(job_id: str, principal: AdminDep, session: SystemSessionDep) -> AdminJobDetailBody:
    """A job, and each lease of it: who held it, for how long, and how that ended."""
    del principal
    return _job_body(session, job_id)


@router.get("/v1/admin/jobs/{job_id}/logs")
def list_job_logs(
    job_id: str,
    principal: AdminDep,
    session: SystemSessionDep,
    after_seq: Annotated[int, Query(ge=0, description="The last `seq` that was seen.")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MAX_LOGS)] = 200,
) -> LogListBody:
    """What the job's process printed, in order, while it runs and after."""
    del principal
    found, has_more = jobs.list_logs(session, job_id=job_id, after_seq=after_seq, limit=limit)
    return LogListBody(data=[log_body(log) for log in found], has_more=has_more)


@router.post("/v1/admin/jobs/{job_id}/kill")
def kill_job(job_id: str, principal: AdminDep, session: SystemSessionDep, backends: BackendsDep) -> AdminJobDetailBody:
    """Take the lease of a running job away: whoever holds it stops, and another goes on from the last checkpoint."""
    actions.kill(session, principal=principal, job_id=job_id, queue=backends.queue, bus=backends.events)
    return _job_body(session, job_id)


@router.post("/v1/admin/jobs/{job_id}/retry")
def retry_job(job_id: str, principal: AdminDep, session: SystemSessionDep, backends: BackendsDep) -> AdminJobDetailBody:
    """Queue a failed or paused job again; it goes on from its last checkpoint."""
    actions.retry(session, principal=principal, job_id=job_id, queue=backends.queue, bus=backends.events)
    return _job_body(session, job_id)


@router.post("/v1/admin/jobs/{job_id}/cancel")
def cancel_any_job(
    job_id: str, principal: AdminDep, session: SystemSessionDep, backends: BackendsDep
) -> AdminJobDetailBody:
    """Cancel a job for good."""
    actions.cancel(session, principal=principal, job_id=job_id, queue=backends.queue, bus=backends.events)
    return _job_body(session, job_id)


@router.get("/v1/admin/worker_tokens")
def list_worker_tokens(principal: AdminDep, session: SystemSessionDep) -> WorkerTokenListBody:
    """What workers elsewhere show to be let in, newest first."""
    del principal
    return WorkerTokenListBody(data=[token_body(token) for token in workers.list_tokens(session)])


# not deduplicated: the kept answer would hold the secret in clear
@router.post("/v1/admin/worker_tokens")
def create_worker_token(
    body: NewWorkerTokenBody, principal: AdminDep, session: SystemSessionDep, settings: SettingsDep
) -> MadeWorkerTokenBody:
    """Make a token for workers on other machines. Its secret is in this answer and nowhere else."""
    made = actions.create_token(session, principal=principal, name=body.name)
    token = workers.get_token(session, token_id=made.token_id)
    command = join_command(settings, secret=made.secret)
    return MadeWorkerTokenBody(**token_fields(token), token=made.secret, command=command)


@router.delete("/v1/admin/worker_tokens/{token_id}")
def revoke_worker_token(token_id: str, principal: AdminDep, session: SystemSessionDep) -> WorkerTokenBody:
    """Revoke a token: workers that joined with it hand back their jobs and claim no more."""
    actions.revoke_token(session, principal=principal, token_id=token_id)
    return token_body(workers.get_token(session, token_id=token_id))


def _job_body(session: Session, job_id: str) -> AdminJobDetailBody:
    view, attempts = jobs.get_job(session, job_id=job_id)
    return job_detail_body(view, attempts)
