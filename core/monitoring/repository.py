from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, case, func, select, text
from sqlalchemy.orm import Session, aliased

from core.datasets.models import Dataset, DatasetVersion, File
from core.identity.models import User
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job, JobAttempt
from core.jobs.states import JobState
from core.kit.pagination import Page, PageRequest
from core.monitoring.types import (
    AttemptView,
    JobFilter,
    JobView,
    Pace,
    Share,
    Staff,
    TokenView,
    WorkerJob,
    WorkerStatus,
    WorkerView,
)
from core.training.models import Run
from core.workers.models import Worker, WorkerToken
from core.workers.types import SILENT_AFTER_S
from core.workspaces.models import Workspace

# the moment from which a queued job could be claimed; `greatest` passes over nulls
_DUE_SINCE: Final = "greatest(coalesce(queued_at, created_at), not_before)"


class QueuesRepository:
    """What waits and who works, over all workspaces. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def shares(self, queues: Iterable[QueueName] = QueueName) -> list[Share]:
        """Each workspace's part in each of the queues: those with jobs or a limit there."""
        rows = self._session.execute(
            text(
                f"""
                with part as (
                    select queue, workspace_id, count(*) filter (where {_DUE_SINCE} <= now()) as waiting,
                        count(*) filter (where {_DUE_SINCE} > now()) as scheduled, 0 as running,
                        extract(epoch from now() - min({_DUE_SINCE}) filter (where {_DUE_SINCE} <= now())) as wait_s
                    from jobs where state = 'queued' and queue = any(:queues) and cancel_requested_at is null
                    group by queue, workspace_id
                    union all
                    select queue, workspace_id, 0, 0, count(*), null
                    from jobs where state = 'running' and queue = any(:queues) group by queue, workspace_id
                    union all
                    select queue, workspace_id, 0, 0, 0, null
                    from queue_shares where max_running is not null and queue = any(:queues)
                ), total as (
                    select queue, workspace_id, sum(waiting) as waiting, sum(scheduled) as scheduled,
                        sum(running) as running, max(wait_s) as wait_s
                    from part group by queue, workspace_id
                )
                select total.*, workspaces.name, queue_shares.max_running
                from total join workspaces on workspaces.id = total.workspace_id
                left join queue_shares using (queue, workspace_id)
                """  # noqa: S608 - our own constant
            ),
            {"queues": [queue.value for queue in queues]},
        )
        return [
            Share(
                queue=QueueName(row.queue),
                workspace_id=row.workspace_id,
                workspace_name=row.name,
                num_waiting=int(row.waiting),
                num_scheduled=int(row.scheduled),
                num_running=int(row.running),
                max_running=row.max_running,
                oldest_wait_s=None if row.wait_s is None else float(row.wait_s),
            )
            for row in rows
        ]

    def staff(self) -> dict[QueueName, Staff]:
        """The workers of each queue that are alive."""
        rows = self._session.execute(
            text(
                """
                with live as (
                    select queue, created_at, drain_requested_at is null as is_serving,
                        job_id is not null or exists (
                            select from jobs where state = 'running' and lease_owner = workers.id) as is_busy
                    from workers where heartbeat_at > now() - :silent_after
                )
                select queue, count(*) as live, count(*) filter (where is_serving) as serving,
                    count(*) filter (where is_busy) as busy,
                    count(*) filter (where is_serving and not is_busy) as idle,
                    extract(epoch from now() - max(created_at)) as newest_joined_s
                from live group by queue
                """
            ),
            {"silent_after": timedelta(seconds=SILENT_AFTER_S)},
        )
        return {
            QueueName(row.queue): Staff(
                num_live=row.live,
                num_serving=row.serving,
                num_busy=row.busy,
                num_idle=row.idle,
                newest_joined_s=float(row.newest_joined_s),
            )
            for row in rows
        }

    def claimed_within(self, seconds: float) -> set[QueueName]:
        """The queues of which something was claimed lately."""
        rows = self._session.scalars(
            select(Job.queue)
            .join(JobAttempt, JobAttempt.job_id == Job.id)
            .where(JobAttempt.created_at > func.now() - timedelta(seconds=seconds))
            .distinct()
        )
        return set(rows)

    def paces(self) -> dict[QueueName, Pace]:
        """The last hour of each queue."""
        claimed = self._session.execute(
            text(
                """
                select queue, count(*) as num, percentile_cont(0.5) within group (
                    order by greatest(0, extract(epoch from a.created_at - queued_at))
                ) filter (where a.attempt = jobs.attempt and queued_at <= a.created_at) as median_wait_s
                from job_attempts a join jobs on jobs.id = a.job_id
                where a.created_at > now() - interval '1 hour' group by queue
                """
            )
        )
        paces = {
            QueueName(row.queue): (row.num, None if row.median_wait_s is None else float(row.median_wait_s))
            for row in claimed
        }
        finished = {
            queue: (num, num_failed)
            for queue, num, num_failed in self._session.execute(
                select(Job.queue, func.count(), func.count().filter(Job.state == JobState.FAILED))
                .where(Job.finished_at > func.now() - timedelta(hours=1))
                .group_by(Job.queue)
            )
        }
        found = {}
        for queue in paces.keys() | finished.keys():
            num_claimed, median_wait_s = paces.get(queue, (0, None))
            num_finished, num_failed = finished.get(queue, (0, 0))
            found[queue] = Pace(num_claimed, num_finished, num_failed, median_wait_s)
        return found


class JobsRepository:
    """Jobs of all workspaces. Needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, job_id: str) -> Job | None:
        return self._session.scalar(select(Job).where(Job.id == job_id).execution_options(populate_existing=True))

    def page(self, page: PageRequest, wanted: JobFilter) -> Page[JobView]:
        """Newest first."""
        query = _select_views().order_by(Job.id.desc()).limit(page.limit + 1)
        for column, value in (
            (Job.state, wanted.state),
            (Job.queue, wanted.queue),
            (Job.kind, wanted.kind),
            (Job.workspace_id, wanted.workspace_id),
        ):
            if value is not None:
                query = query.where(column == value)
        if page.after:
            query = query.where(Job.id < page.after)
        return Page.cut([_view(row) for row in self._session.execute(query)], page.limit)

    def find(self, job_id: str) -> JobView | None:
        query = _select_views().where(Job.id == job_id).execution_options(populate_existing=True)
        row = self._session.execute(query).one_or_none()
        return None if row is None else _view(row)

    def attempts(self, job_id: str) -> list[AttemptView]:
        """From the first to the last."""
        seconds = func.extract("epoch", func.coalesce(JobAttempt.ended_at, func.now()) - JobAttempt.created_at)
        rows = self._session.execute(
            select(JobAttempt, seconds).where(JobAttempt.job_id == job_id).order_by(JobAttempt.attempt)
        )
        return [AttemptView(attempt=row[0], seconds=float(row[1])) for row in rows]


class WorkersRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def views(self, worker_id: str | None = None) -> list[WorkerView]:
        """The workers that are there, or the one, with what each has the lease of."""
        query = (
            select(Worker, WorkerToken.name, Worker.heartbeat_at <= func.now() - timedelta(seconds=SILENT_AFTER_S))
            .outerjoin(WorkerToken, WorkerToken.id == Worker.token_id)
            .order_by(Worker.queue, Worker.id)
            .execution_options(populate_existing=True)
        )
        if worker_id is not None:
            query = query.where(Worker.id == worker_id)
        held = self._held()
        return [
            _worker_view(worker, token_name, is_silent=is_silent, job=held.get(worker.id))
            for worker, token_name, is_silent in self._session.execute(query)
        ]

    def tokens(self, token_id: str | None = None) -> list[TokenView]:
        """Newest first."""
        num_workers = (
            select(func.count())
            .where(Worker.token_id == WorkerToken.id)
            .where(Worker.heartbeat_at > func.now() - timedelta(seconds=SILENT_AFTER_S))
            .scalar_subquery()
        )
        query = (
            select(WorkerToken, num_workers).order_by(WorkerToken.id.desc()).execution_options(populate_existing=True)
        )
        if token_id is not None:
            query = query.where(WorkerToken.id == token_id)
        return [
            TokenView(
                id=token.id,
                name=token.name,
                created_at=token.created_at,
                last_used_at=token.last_used_at,
                revoked_at=token.revoked_at,
                num_workers=num,
            )
            for token, num in self._session.execute(query)
        ]

    def _held(self) -> dict[str, WorkerJob]:
        """Of each lease, the job by the id of its holder."""
        rows = self._session.execute(_select_views().where(Job.state == JobState.RUNNING))
        found = {}
        for row in rows:
            view, claimed_at = _view(row), row.claimed_at
            if view.job.lease_owner is not None and claimed_at is not None:
                found[view.job.lease_owner] = WorkerJob(view=view, claimed_at=claimed_at)
        return found


def _select_views() -> Select[*tuple[Any, ...]]:
    """Jobs with what they are called, whose they are, and how long they wait or waited for their last claim."""
    maker = aliased(User)
    due_since = func.greatest(func.coalesce(Job.queued_at, Job.created_at), Job.not_before)
    wait = case(
        (Job.state == JobState.QUEUED, func.now() - due_since),
        else_=JobAttempt.created_at - func.coalesce(Job.queued_at, Job.created_at),
    )
    return (
        select(
            Job,
            Workspace.name.label("workspace_name"),
            Run.id.label("run_id"),
            func.coalesce(Run.name, Run.suffix, Run.base_model).label("run_name"),
            func.coalesce(File.filename, Dataset.name).label("file_name"),
            maker.name.label("maker_name"),
            JobAttempt.created_at.label("claimed_at"),
            func.extract("epoch", wait).label("wait_s"),
        )
        .join(Workspace, Workspace.id == Job.workspace_id)
        .outerjoin(Run, Run.job_id == Job.id)
        .outerjoin(DatasetVersion, DatasetVersion.job_id == Job.id)
        .outerjoin(Dataset, Dataset.id == DatasetVersion.dataset_id)
        .outerjoin(File, File.id == Dataset.file_id)
        .outerjoin(maker, maker.id == Job.created_by)
        .outerjoin(JobAttempt, (JobAttempt.job_id == Job.id) & (JobAttempt.attempt == Job.attempt))
    )


def _view(row: Row[Any]) -> JobView:
    job: Job = row[0]
    return JobView(
        job=job,
        workspace_name=row.workspace_name,
        run_id=row.run_id,
        title=_title(job, row.run_name, row.file_name),
        created_by_name=row.maker_name,
        wait_s=None if row.wait_s is None or row.wait_s < 0 else float(row.wait_s),
    )


def _title(job: Job, run_name: str | None, file_name: str | None) -> str:  # noqa: PLR0911 - one a kind
    match job.kind:
        case JobKind.TRAINING_RUN:
            return f"Training {run_name or 'a model'}"
        case JobKind.SCALING_STUDY:
            return "Judging whether examples are enough"
        case JobKind.FILE_IMPORT:
            return f"Fetching a file from {job.payload.get('from', 'elsewhere')}"
        case JobKind.DATASET_INGEST:
            return f"Reading {file_name or 'a file'}"
        case JobKind.DATASET_DERIVE:
            return f"Changing examples of {file_name or 'a file'}"
        case JobKind.PERSON_ERASURE:
            return "Removing a person's rows"
        case JobKind.MODEL_EXPORT:
            return "Packing a model"
        case JobKind.MODEL_IMPORT:
            return f"Bringing in {job.payload.get('name', 'a model')}"


def _worker_view(worker: Worker, token_name: str | None, *, is_silent: bool, job: WorkerJob | None) -> WorkerView:
    if is_silent:
        status = WorkerStatus.SILENT
    elif worker.drain_requested_at is not None:
        status = WorkerStatus.DRAINING
    elif job is not None or worker.job_id is not None:
        status = WorkerStatus.WORKING
    else:
        status = WorkerStatus.IDLE
    return WorkerView(worker=worker, status=status, token_name=token_name, job=job)
