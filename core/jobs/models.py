from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Identity, Index, cast, desc, extract, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText
from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.jobs.types import EventLevel, EventType


class Job(WorkspaceOwned, Base):
    """Anything that takes longer than a request.

    The row is the truth, and its own outbox entry: while it is queued, due and unclaimed, the reconciler rings for it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "ix_jobs_queue_turn",
            "queue",
            "workspace_id",
            desc("priority"),
            "queue_rank",
            "id",
            postgresql_where="state = 'queued'",
        ),
        Index("ix_jobs_queue_running", "queue", "workspace_id", postgresql_where="state = 'running'"),
        Index("ix_jobs_lease_expires_at", "lease_expires_at", postgresql_where="state = 'running'"),
        Index("ix_jobs_workspace_id_id", "workspace_id", "id"),
        Index("ix_jobs_state_id", "state", "id"),
        Index("ix_jobs_kind_id", "kind", "id"),
    )

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[JobKind] = mapped_column(EnumText(JobKind))
    queue: Mapped[QueueName] = mapped_column(EnumText(QueueName))
    state: Mapped[JobState] = mapped_column(EnumText(JobState))
    stage: Mapped[str | None]
    """What exactly it is doing, in the child's words; for showing only."""
    priority: Mapped[int] = mapped_column(default=0)
    """Among the jobs of its own workspace; higher goes first."""
    queue_rank: Mapped[float] = mapped_column(server_default=cast(extract("epoch", func.clock_timestamp()), Double))
    """Its place among jobs of one priority, smaller first: the moment of its making until somebody moves it."""
    not_before: Mapped[datetime | None]
    queued_at: Mapped[datetime | None]
    """When it last became queued."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Times it was claimed; the fencing number of the present lease."""
    num_interruptions: Mapped[int] = mapped_column(default=0)
    """Attempts that do not count against `max_attempts`: they ended through no fault of the job, or were forgiven."""
    max_attempts: Mapped[int] = mapped_column(default=5)
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    pause_requested_at: Mapped[datetime | None]
    progress_step: Mapped[int | None]
    progress_total_steps: Mapped[int | None]
    estimated_s: Mapped[float | None]
    """How long it was expected to take, before it started."""
    estimated_finish_at: Mapped[datetime | None]
    payload: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None]
    blame: Mapped[Blame | None] = mapped_column(EnumText(Blame))
    created_by: Mapped[str | None]
    started_at: Mapped[datetime | None]
    """Of the first attempt."""
    finished_at: Mapped[datetime | None] = mapped_column(index=True)


class JobAttempt(WorkspaceOwned, Base):
    """One lease of a job: who held it and how it ended. `outcome` is null while it is held."""

    __tablename__ = "job_attempts"
    __table_args__ = (Index("ix_job_attempts_created_at", "created_at"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    worker_id: Mapped[str]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[AttemptOutcome | None] = mapped_column(EnumText(AttemptOutcome))
    error: Mapped[dict[str, Any] | None]


class JobEvent(WorkspaceOwned, Base):
    """What a job said.

    `seq` grows in the order of commits within one job (writers hold the job's row), so a reader that asks for what is
    after the last one it saw misses nothing.
    """

    __tablename__ = "job_events"
    __table_args__ = (Index("ix_job_events_job_id_seq", "job_id", "seq", unique=True),)

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    seq: Mapped[int] = mapped_column(Identity(always=True))
    level: Mapped[EventLevel] = mapped_column(EnumText(EventLevel))
    type: Mapped[EventType] = mapped_column(EnumText(EventType))
    message: Mapped[str]
    data: Mapped[dict[str, Any] | None]


class JobLog(WorkspaceOwned, Base):
    """What the child of an attempt printed, in pieces. For admins; the oldest pieces of a long attempt are dropped."""

    __tablename__ = "job_logs"
    __table_args__ = (Index("ix_job_logs_job_id_seq", "job_id", "seq"),)

    seq: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    text: Mapped[str]


class QueueShare(WorkspaceOwned, Base):
    """One workspace's part in a queue.

    `virtual_time` is how many seconds of work it was given, by which turns are dealt out fairly (start-time fair
    queueing: Goyal, Vin, Cheng 1996).
    """

    __tablename__ = "queue_shares"

    queue: Mapped[QueueName] = mapped_column(EnumText(QueueName), primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True, index=True)
    virtual_time: Mapped[float] = mapped_column(default=0.0)
    max_running: Mapped[int | None]
    """Jobs of it that may run at once; null for the installation's default."""


class QueueClock(Base):
    """The virtual time of the turn that was given last: who comes new to a queue begins here, with no credit saved."""

    __tablename__ = "queue_clocks"

    queue: Mapped[QueueName] = mapped_column(EnumText(QueueName), primary_key=True)
    virtual_time: Mapped[float]
