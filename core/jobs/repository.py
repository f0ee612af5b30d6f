from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from core.jobs.kinds import QueueName
from core.jobs.models import Job, JobAttempt, JobEvent, Worker
from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, TRANSITIONS, AttemptOutcome, JobState
from core.jobs.types import EventType, Lease, NewEvent, QueueOutlook
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest


class JobRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id: str | None = workspace_id

    @classmethod
    def unscoped(cls, session: Session) -> "JobRepository":
        """Over all workspaces: for the claim and the reconciler, whose session has the system scope."""
        repository = cls(session, "")
        repository._workspace_id = None
        return repository

    def add(self, job: Job) -> Job:
        self._session.add(job)
        self._session.flush()
        return job

    def get(self, job_id: str) -> Job | None:
        return self._session.scalar(self._select_jobs().where(Job.id == job_id))

    def get_many(self, job_ids: Iterable[str]) -> Sequence[Job]:
        return self._session.scalars(self._select_jobs().where(Job.id.in_(list(job_ids)))).all()

    def lock(self, job_id: str) -> Job | None:
        """The job as it is now, held until the transaction ends."""
        return self._session.scalar(
            self._select_jobs()
            .where(Job.id == job_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )

    def lock_leased(self, lease: Lease) -> Job | None:
        """The job, held until the transaction ends, if `lease` still holds it."""
        job = self.lock(lease.job_id)
        return job if job and job.state is JobState.RUNNING and job.attempt == lease.attempt else None

    def move(self, job: Job, state: JobState, **changes: Any) -> Job:  # noqa: ANN401 - columns
        """The job in its new state. The caller holds its row; a move that the table forbids is a bug, and raises."""
        moved = self._change(Job.id == job.id, Job.state.in_(_before(state)), state=state, **changes)
        if moved is None:
            raise RuntimeError(f"job {job.id} is {job.state} and cannot become {state}")
        return moved

    def cancel(self, job: Job) -> Job:
        """Cancel a locked job that nobody works on."""
        return self.end_lease(
            job, JobState.CANCELLED, cancel_requested_at=func.coalesce(Job.cancel_requested_at, func.now())
        )

    def mark_cancel_requested(self, job: Job) -> Job:
        changed = self._change(Job.id == job.id, cancel_requested_at=func.now())
        return changed or job

    def change_leased(self, lease: Lease, **changes: Any) -> Job | None:  # noqa: ANN401 - columns
        """Change the job if `lease` still holds it; None if it does not."""
        return self._change(
            Job.id == lease.job_id, Job.state == JobState.RUNNING, Job.attempt == lease.attempt, **changes
        )

    def claim(self, *, queue_name: QueueName, worker_id: str, lease_s: int) -> Job | None:
        """Lease the job whose turn it is.

        The workspace with the fewest running jobs of the queue goes first, then priority, then age; rows that
        another worker is claiming are stepped over.
        """
        running = (
            select(Job.workspace_id, func.count().label("num_running"))
            .where(Job.queue == queue_name, Job.state == JobState.RUNNING)
            .group_by(Job.workspace_id)
            .cte("running")
        )
        waiting = aliased(Job, name="waiting")
        chosen = (
            select(waiting.id)
            .outerjoin(running, running.c.workspace_id == waiting.workspace_id)
            .where(
                waiting.queue == queue_name,
                waiting.state == JobState.QUEUED,
                or_(waiting.not_before.is_(None), waiting.not_before <= func.now()),
                waiting.cancel_requested_at.is_(None),
            )
            .order_by(func.coalesce(running.c.num_running, 0), waiting.priority.desc(), waiting.created_at, waiting.id)
            .limit(1)
            .with_for_update(skip_locked=True, key_share=True, of=waiting)
        )
        job = self._change(
            Job.id == chosen.scalar_subquery(),
            state=JobState.RUNNING,
            stage=None,
            attempt=Job.attempt + 1,
            lease_owner=worker_id,
            lease_expires_at=_in_seconds(lease_s),
            heartbeat_at=func.now(),
            not_before=None,
            started_at=func.coalesce(Job.started_at, func.now()),
        )
        if job is not None:
            self._session.add(
                JobAttempt(job_id=job.id, attempt=job.attempt, workspace_id=job.workspace_id, worker_id=worker_id)
            )
            self._session.flush()
        return job

    def renew(self, lease: Lease, *, lease_s: int) -> Job | None:
        return self.change_leased(lease, lease_expires_at=_in_seconds(lease_s), heartbeat_at=func.now())

    def set_progress(self, lease: Lease, *, step: int, total_steps: int, seconds_left: float | None) -> Job | None:
        finish_at = None if seconds_left is None else _in_seconds(seconds_left)
        return self.change_leased(
            lease, progress_step=step, progress_total_steps=total_steps, estimated_finish_at=finish_at
        )

    def end_lease(self, job: Job, state: JobState, *, delay_s: float = 0, **changes: Any) -> Job:  # noqa: ANN401
        """Move a running job on, without a holder; a queued one is due again after `delay_s`."""
        return self.move(
            job,
            state,
            lease_owner=None,
            lease_expires_at=None,
            estimated_finish_at=None,
            not_before=_in_seconds(delay_s) if state is JobState.QUEUED and delay_s else None,
            finished_at=func.now() if state in TERMINAL else None,
            **changes,
        )

    def close_attempt(self, job: Job, outcome: AttemptOutcome, error: dict[str, Any] | None) -> None:
        self._session.execute(
            update(JobAttempt)
            .where(JobAttempt.job_id == job.id, JobAttempt.attempt == job.attempt, JobAttempt.outcome.is_(None))
            .values(outcome=outcome, ended_at=func.now(), error=error)
        )

    def attempts(self, job_id: str) -> Sequence[JobAttempt]:
        return self._session.scalars(
            select(JobAttempt)
            .where(JobAttempt.job_id == job_id, *self._own(JobAttempt.workspace_id))
            .order_by(JobAttempt.attempt)
        ).all()

    def add_events(self, job: Job, events: Iterable[NewEvent]) -> None:
        """Append; the caller holds the job's row, so that `seq` grows in the order of commits."""
        rows = [
            {
                "id": new_id("ftevent-"),
                "job_id": job.id,
                "workspace_id": job.workspace_id,
                "attempt": job.attempt,
                "level": event.level,
                "type": event.type,
                "message": event.message,
                "data": event.data,
            }
            for event in events
        ]
        if rows:
            self._session.execute(insert(JobEvent), rows)

    def events_page(self, job_id: str, page: PageRequest, type_: EventType | None) -> Page[JobEvent]:
        """Newest first unless the request says ascending."""
        query = self._select_events(job_id, type_).limit(page.limit + 1)
        query = query.order_by(JobEvent.seq if page.ascending else JobEvent.seq.desc())
        if page.after:
            seq = select(JobEvent.seq).where(JobEvent.job_id == job_id, JobEvent.id == page.after).scalar_subquery()
            query = query.where(JobEvent.seq > seq if page.ascending else JobEvent.seq < seq)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def events_after(self, job_id: str, after_seq: int, type_: EventType | None, limit: int) -> Sequence[JobEvent]:
        query = self._select_events(job_id, type_).where(JobEvent.seq > after_seq).order_by(JobEvent.seq).limit(limit)
        return self._session.scalars(query).all()

    def outlook(self, *, queue_name: QueueName, job: Job | None) -> QueueOutlook:
        """What stands before `job`, or before one that would be submitted now."""
        row = self._session.execute(
            text(
                "select num_queued, num_running, known_s, num_unknown, num_workers from work_ahead("
                ":queue, :priority, coalesce(cast(:created_at as timestamptz), now()), :id)"
            ),
            {
                "queue": queue_name.value,
                "priority": job.priority if job else 0,
                "created_at": job.created_at if job else None,
                "id": job.id if job else "",
            },
        ).one()
        num_workers = max(1, row.num_workers)
        if row.num_queued + row.num_running < num_workers:
            starts_in_s: float | None = 0.0
        else:
            starts_in_s = None if row.num_unknown else row.known_s / num_workers
        return QueueOutlook(position=row.num_queued + 1, starts_in_s=starts_in_s)

    def lock_expired(self, limit: int) -> Sequence[Job]:
        """Jobs whose holder has gone silent; those that someone holds this moment are left for the next time."""
        return self._lock_all(Job.state == JobState.RUNNING, Job.lease_expires_at < func.now(), limit=limit)

    def lock_cancellable(self, limit: int) -> Sequence[Job]:
        """Jobs that are to be cancelled and that nobody works on."""
        return self._lock_all(Job.state.in_(CANCELLED_AT_ONCE), Job.cancel_requested_at.is_not(None), limit=limit)

    def due(self, limit: int) -> Sequence[tuple[QueueName, str]]:
        """Queue and id of jobs that could be claimed now, the longest-waiting first."""
        rows = self._session.execute(
            select(Job.queue, Job.id)
            .where(Job.state == JobState.QUEUED, or_(Job.not_before.is_(None), Job.not_before <= func.now()))
            .order_by(Job.created_at)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in rows]

    def _lock_all(self, *conditions: ColumnElement[bool], limit: int) -> Sequence[Job]:
        return self._session.scalars(
            self._select_jobs()
            .where(*conditions)
            .order_by(Job.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True, key_share=True)
            .execution_options(populate_existing=True)
        ).all()

    def _change(self, *conditions: ColumnElement[bool], **changes: Any) -> Job | None:  # noqa: ANN401 - columns
        return self._session.scalar(
            update(Job)
            .where(*conditions, *self._own(Job.workspace_id))
            .values(**changes)
            .returning(Job)
            .execution_options(populate_existing=True, synchronize_session=False)
        )

    def _select_jobs(self) -> Select[Job]:
        return select(Job).where(*self._own(Job.workspace_id))

    def _select_events(self, job_id: str, type_: EventType | None) -> Select[JobEvent]:
        query = select(JobEvent).where(JobEvent.job_id == job_id, *self._own(JobEvent.workspace_id))
        return query if type_ is None else query.where(JobEvent.type == type_)

    def _own(self, column: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401 - an ORM attribute
        return [] if self._workspace_id is None else [column == self._workspace_id]


def _before(state: JobState) -> list[JobState]:
    return [earlier for earlier, following in TRANSITIONS.items() if state in following]


def _in_seconds(seconds: float) -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=seconds)


class WorkerRepository:
    """Worker processes serve every workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, worker_id: str, hostname: str, queue: QueueName, pid: int, version: str) -> None:
        self._session.execute(
            insert(Worker).values(
                id=worker_id,
                hostname=hostname,
                queue=queue,
                pid=pid,
                version=version,
                started_at=func.now(),
                heartbeat_at=func.now(),
            )
        )

    def beat(self, worker_id: str) -> bool:
        """False if the worker is not there (any more)."""
        return (
            self._session.scalar(
                update(Worker).where(Worker.id == worker_id).values(heartbeat_at=func.now()).returning(Worker.id)
            )
            is not None
        )

    def remove(self, worker_id: str) -> None:
        self._session.execute(delete(Worker).where(Worker.id == worker_id))

    def remove_silent(self, after_s: float) -> None:
        self._session.execute(delete(Worker).where(Worker.heartbeat_at < _in_seconds(-after_s)))

    def all(self) -> Sequence[Worker]:
        return self._session.scalars(select(Worker).order_by(Worker.queue, Worker.id)).all()

    def queues(self) -> set[QueueName]:
        """The queues that some worker serves."""
        return set(self._session.scalars(select(Worker.queue).distinct()))

    def try_lock_reconciler(self) -> bool:
        """One reconciler at a time, until the transaction ends."""
        locked = self._session.scalar(text("select pg_try_advisory_xact_lock(hashtextextended('reconciler', 0))"))
        return bool(locked)
