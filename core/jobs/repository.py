from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job, JobAttempt, QueueClock, QueueShare
from core.jobs.states import CANCELLED_AT_ONCE, TERMINAL, TRANSITIONS, AttemptOutcome, JobState
from core.jobs.types import Lease, QueueOutlook
from core.kit.redaction import redacted

# what a job counts for in the fair share while nobody has said how long it takes
_UNKNOWN_S = 60.0

# Whose turn it is: among workspaces under their limit the one with the fewest running jobs of the queue, then the one
# that was given the least work so far; of a workspace its job of highest priority, then smallest rank. Workspaces are
# sorted first and probed in that order (one look at the index `ix_jobs_queue_turn` each) until a few have work. A job
# or a share that another transaction holds this instant is stepped over. That the head may be claimed is asked twice:
# of a row that changed since the statement began, Postgres checks the conditions beside the lock once more, no others.
_CHOOSE = """
with running as materialized (
    select workspace_id, count(*) as num from jobs where queue = :queue and state = 'running' group by workspace_id
), turns as materialized (
    select share.workspace_id, coalesce(running.num, 0) as num_running, share.virtual_time
    from queue_shares share left join running on running.workspace_id = share.workspace_id
    where share.queue = :queue and coalesce(running.num, 0) < coalesce(share.max_running, :max_running)
), heads as materialized (
    select turn.*, head.id
    from (select * from turns order by num_running, virtual_time, workspace_id) turn
    cross join lateral (
        select id from jobs
        where queue = :queue and workspace_id = turn.workspace_id and state = 'queued'
          and (not_before is null or not_before <= now()) and cancel_requested_at is null
        order by priority desc, queue_rank, id limit 1
    ) head
    order by num_running, virtual_time, workspace_id limit 8
)
select jobs.id, heads.virtual_time from heads
join jobs on jobs.id = heads.id and jobs.state = 'queued' and jobs.cancel_requested_at is null
  and (jobs.not_before is null or jobs.not_before <= now())
join queue_shares share on share.queue = :queue and share.workspace_id = heads.workspace_id
order by heads.num_running, heads.virtual_time, heads.workspace_id
limit 1 for no key update of jobs, share skip locked
"""
_NO_LIMIT = 2**31


class JobRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id: str | None = workspace_id

    @classmethod
    def unscoped(cls, session: Session) -> "JobRepository":
        """Over all workspaces: for the claim, the reconciler and admins, whose session has the system scope."""
        repository = cls(session, "")
        repository._workspace_id = None
        return repository

    def add(self, job: Job) -> Job:
        self._session.add(job)
        self._session.flush()
        return job

    def num_since(self, first_job_id: str) -> int:
        """How many have this id or a later one; ids are ordered by time."""
        query = select(func.count()).select_from(Job).where(Job.id >= first_job_id, *self._own(Job.workspace_id))
        return self._session.scalar(query) or 0

    def is_any_open(self, kind: JobKind) -> bool:
        query = self._select_jobs().with_only_columns(Job.id).where(Job.kind == kind, Job.state.not_in(TERMINAL))
        return self._session.scalar(query.limit(1)) is not None

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

    def waiting(self, queue_name: QueueName | None) -> Sequence[Job]:
        """The workspace's queued jobs in the order of their turns."""
        return self._session.scalars(self._in_turn(queue_name).where(Job.state == JobState.QUEUED)).all()

    def move(self, job: Job, state: JobState, **changes: Any) -> Job:  # noqa: ANN401 - columns
        """The job in its new state. The caller holds its row; a move that the table forbids is a bug, and raises."""
        if state is JobState.QUEUED:
            changes["queued_at"] = func.now()
        moved = self._change(Job.id == job.id, Job.state.in_(_before(state)), state=state, **changes)
        if moved is None:
            raise RuntimeError(f"job {job.id} is {job.state} and cannot become {state}")
        return moved

    def cancel(self, job: Job) -> Job:
        """Cancel a locked job that nobody works on."""
        return self.end_lease(
            job,
            JobState.CANCELLED,
            pause_requested_at=None,
            cancel_requested_at=func.coalesce(Job.cancel_requested_at, func.now()),
        )

    def mark_cancel_requested(self, job: Job) -> Job:
        return self.change(job, cancel_requested_at=func.now())

    def mark_pause_requested(self, job: Job) -> Job:
        return self.change(job, pause_requested_at=func.now())

    def move_to_the_end(self, job: Job, *, priority: int) -> Job:
        """Behind all that wait with this priority, and before whatever comes from now on."""
        return self.change(job, priority=priority, queue_rank=func.extract("epoch", func.clock_timestamp()))

    def change(self, job: Job, **changes: Any) -> Job:  # noqa: ANN401 - columns
        """Change what is not its state. The caller holds its row."""
        return self._change(Job.id == job.id, **changes) or job

    def change_leased(self, lease: Lease, **changes: Any) -> Job | None:  # noqa: ANN401 - columns
        """Change the job if `lease` still holds it; None if it does not."""
        return self._change(
            Job.id == lease.job_id, Job.state == JobState.RUNNING, Job.attempt == lease.attempt, **changes
        )

    def claim(self, *, queue_name: QueueName, worker_id: str, lease_s: float, max_running: int = 0) -> Job | None:
        """Lease the job whose turn it is; `max_running` is the limit of workspaces that have none of their own.

        Claims of one queue follow one another, which makes limits and turns exact; each takes a few milliseconds. One
        that stops in the middle (its process was frozen) is undone by the timeout of every idle transaction.
        """
        self._session.execute(
            text(
                "select set_config('lock_timeout', '5s', true), "
                "pg_advisory_xact_lock(hashtextextended('claim:' || :queue, 0))"
            ),
            {"queue": queue_name.value},
        )
        limit = max_running or _NO_LIMIT
        chosen = self._session.execute(text(_CHOOSE), {"queue": queue_name.value, "max_running": limit}).one_or_none()
        if chosen is None:
            return None
        job = self._change(
            Job.id == chosen.id,
            state=JobState.RUNNING,
            stage=None,
            attempt=Job.attempt + 1,
            lease_owner=worker_id,
            lease_expires_at=_in_seconds(lease_s),
            heartbeat_at=func.now(),
            # a delay that was asked for is no wait
            queued_at=func.greatest(Job.queued_at, Job.not_before),
            not_before=None,
            started_at=func.coalesce(Job.started_at, func.now()),
        )
        if job is not None:
            self._session.add(
                JobAttempt(job_id=job.id, attempt=job.attempt, workspace_id=job.workspace_id, worker_id=worker_id)
            )
            self._session.flush()
            self._give_turn(job, chosen.virtual_time)
        return job

    def renew(self, lease: Lease, *, lease_s: float) -> Job | None:
        return self.change_leased(lease, lease_expires_at=_in_seconds(lease_s), heartbeat_at=func.now())

    def set_progress(self, lease: Lease, *, step: int, total_steps: int, seconds_left: float | None) -> Job | None:
        finish_at = None if seconds_left is None else _in_seconds(seconds_left)
        return self.change_leased(
            lease, progress_step=step, progress_total_steps=total_steps, estimated_finish_at=finish_at
        )

    def end_lease(self, job: Job, state: JobState, *, delay_s: float = 0, **changes: Any) -> Job:  # noqa: ANN401
        """Move a job on, without a holder; a queued one is due again after `delay_s`."""
        if "error" in changes:
            changes["error"] = redacted(changes["error"])
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

    def close_attempt(self, job: Job, outcome: AttemptOutcome, error: Mapping[str, Any] | None) -> None:
        """Say how the lease ended, and correct what the turn was charged: by how long it really took."""
        took_s = self._session.scalar(
            update(JobAttempt)
            .where(JobAttempt.job_id == job.id, JobAttempt.attempt == job.attempt, JobAttempt.outcome.is_(None))
            .values(outcome=outcome, ended_at=func.now(), error=redacted(error))
            .returning(func.extract("epoch", func.now() - JobAttempt.created_at))
        )
        if took_s is not None:
            self._charge_share(job, float(took_s) - _charged_s(job))

    def attempts(self, job_id: str) -> Sequence[JobAttempt]:
        return self._session.scalars(
            select(JobAttempt)
            .where(JobAttempt.job_id == job_id, *self._own(JobAttempt.workspace_id))
            .order_by(JobAttempt.attempt)
        ).all()

    def join_queue(self, job: Job) -> None:
        """Give the job's workspace its part in the queue. One that has no other work there begins with no credit."""
        has_other_work = (
            select(Job.id)
            .where(
                Job.queue == job.queue,
                Job.workspace_id == job.workspace_id,
                Job.state.in_([JobState.QUEUED, JobState.RUNNING]),
                Job.id != job.id,
            )
            .exists()
        )
        share = and_(QueueShare.queue == job.queue, QueueShare.workspace_id == job.workspace_id)
        clock = select(QueueClock.virtual_time).where(QueueClock.queue == job.queue)
        now = self._session.scalar(clock) or 0.0
        found = self._session.execute(select(QueueShare.virtual_time, has_other_work).where(share)).one_or_none()
        if found is None:
            joined = insert(QueueShare).values(queue=job.queue, workspace_id=job.workspace_id, virtual_time=now)
            self._session.execute(joined.on_conflict_do_nothing())
        elif found[0] < now and not found[1]:
            # written only when it must be: the row is held until this transaction ends
            self._session.execute(
                update(QueueShare).where(share, QueueShare.virtual_time < now).values(virtual_time=now)
            )

    def set_max_running(self, *, queue_name: QueueName, workspace_id: str, max_running: int | None) -> None:
        """Limit what runs of a workspace at once in a queue; None for the installation's default."""
        limited = insert(QueueShare).values(
            queue=queue_name, workspace_id=workspace_id, virtual_time=0, max_running=max_running
        )
        self._session.execute(
            limited.on_conflict_do_update(
                index_elements=[QueueShare.queue, QueueShare.workspace_id], set_={"max_running": max_running}
            )
        )

    def outlook(self, *, queue_name: QueueName, job: Job | None) -> QueueOutlook:
        """What has its turn before `job`, or before one that would be submitted now."""
        row = self._session.execute(
            text(
                "select num_queued, num_running, known_s, num_unknown, num_workers, "
                "greatest(0, extract(epoch from cast(:not_before as timestamptz) - now())) as held_s "
                "from work_ahead(:queue, :workspace_id, :priority, "
                "coalesce(cast(:rank as double precision), extract(epoch from clock_timestamp())), :id)"
            ),
            {
                "queue": queue_name.value,
                "workspace_id": self._workspace_id,
                "priority": job.priority if job else 0,
                "rank": job.queue_rank if job else None,
                "id": job.id if job else "",
                "not_before": job.not_before if job else None,
            },
        ).one()
        held_s = float(row.held_s or 0)
        starts_in_s = None if row.num_workers == 0 or row.num_unknown else row.known_s / row.num_workers
        is_one_free = row.num_queued + row.num_running < row.num_workers
        if is_one_free:
            starts_in_s = 0.0
        return QueueOutlook(
            position=row.num_queued + 1,
            starts_in_s=None if starts_in_s is None else max(starts_in_s, held_s),
            num_workers=row.num_workers,
            is_one_free=is_one_free,
        )

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

    def _give_turn(self, job: Job, virtual_time: float) -> None:
        """The workspace is charged for the work it expects, and the queue's clock shows the turn that was given."""
        self._charge_share(job, _charged_s(job))
        clock = insert(QueueClock).values(queue=job.queue, virtual_time=virtual_time)
        self._session.execute(
            clock.on_conflict_do_update(
                index_elements=[QueueClock.queue],
                set_={"virtual_time": func.greatest(QueueClock.virtual_time, virtual_time)},
            )
        )

    def _charge_share(self, job: Job, seconds: float) -> None:
        self._session.execute(
            update(QueueShare)
            .where(QueueShare.queue == job.queue, QueueShare.workspace_id == job.workspace_id)
            .values(virtual_time=func.greatest(0, QueueShare.virtual_time + seconds))
        )

    def _in_turn(self, queue_name: QueueName | None) -> Select[Job]:
        query = self._select_jobs().order_by(Job.queue, Job.priority.desc(), Job.queue_rank, Job.id)
        return query if queue_name is None else query.where(Job.queue == queue_name)

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

    def _own(self, column: Any) -> list[ColumnElement[bool]]:  # noqa: ANN401 - an ORM attribute
        return [] if self._workspace_id is None else [column == self._workspace_id]


def _before(state: JobState) -> list[JobState]:
    return [earlier for earlier, following in TRANSITIONS.items() if state in following]


def _in_seconds(seconds: float) -> ColumnElement[datetime]:
    return func.now() + timedelta(seconds=seconds)


def _charged_s(job: Job) -> float:
    return _UNKNOWN_S if job.estimated_s is None else job.estimated_s
