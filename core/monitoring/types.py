"""What the admin pages and the metrics show, read over all workspaces."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job, JobAttempt
from core.jobs.states import JobState
from core.workers.models import Worker


class QueueState(StrEnum):
    OK = "ok"
    BUSY = "busy"
    """Jobs are due and every worker has one."""
    STUCK = "stuck"
    """`core.monitoring.queues` says when."""
    NO_WORKER = "no_worker"
    """Nothing serves it; not yet, or not any more."""


class WorkerStatus(StrEnum):
    IDLE = "idle"
    WORKING = "working"
    DRAINING = "draining"
    SILENT = "silent"
    """Its heartbeats stopped: it is gone, cut off or hung."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one workspace has in one queue."""

    queue: QueueName
    workspace_id: str
    workspace_name: str
    num_waiting: int
    """Due now; some may be held back by the limit."""
    num_scheduled: int
    """Queued for later."""
    num_running: int
    max_running: int | None
    """Null for the installation's limit."""
    oldest_wait_s: float | None


@dataclass(frozen=True, slots=True)
class Staff:
    """The workers of a queue that are alive."""

    num_live: int = 0
    num_serving: int = 0
    """Not draining."""
    num_busy: int = 0
    num_idle: int = 0
    """Serving, and without a job."""
    newest_joined_s: float | None = None
    """How long ago the newest joined."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The last hour of a queue."""

    num_claimed: int = 0
    num_finished: int = 0
    num_failed: int = 0
    """Of the finished."""
    median_wait_s: float | None = None
    """Of the claimed."""


@dataclass(frozen=True, slots=True)
class QueueView:
    name: QueueName
    state: QueueState
    num_waiting: int
    num_scheduled: int
    num_running: int
    staff: Staff
    oldest_wait_s: float | None
    pace: Pace
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class JobFilter:
    state: JobState | None = None
    queue: QueueName | None = None
    kind: JobKind | None = None
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class JobView:
    job: Job
    workspace_name: str
    run_id: str | None
    title: str
    """A fragment of a sentence, such as "Training claims-helper"."""
    created_by_name: str | None
    wait_s: float | None
    """Since it became due, if it waits; else how long it waited for its last claim."""


@dataclass(frozen=True, slots=True)
class AttemptView:
    attempt: JobAttempt
    seconds: float
    """So far, if it is not over."""


@dataclass(frozen=True, slots=True)
class WorkerJob:
    """A job that a worker has the lease of."""

    view: JobView
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class WorkerView:
    worker: Worker
    status: WorkerStatus
    token_name: str | None
    job: WorkerJob | None


@dataclass(frozen=True, slots=True)
class TokenView:
    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    num_workers: int


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A new worker token and its secret, which is shown once and never stored."""

    token_id: str
    secret: str
