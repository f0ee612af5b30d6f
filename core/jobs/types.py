from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NotRequired, TypedDict

from core.jobs.kinds import JobKind


class JobError(TypedDict):
    """Why a job failed, as people and programs read it: a stable code and one plain sentence."""

    code: str
    message: str
    param: NotRequired[str | None]
    details: NotRequired[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job until it expires or another is given.

    `attempt` is the fencing number: every write of the holder names it, and one that names an old number changes
    nothing.
    """

    job_id: str
    workspace_id: str
    kind: JobKind
    attempt: int
    payload: Mapping[str, Any]
    worker_id: str


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    fenced: bool
    """The job is no longer ours: stop, and publish nothing."""
    cancel_requested: bool
    pause_requested: bool = False


class EventType(StrEnum):
    MESSAGE = "message"
    METRICS = "metrics"


class EventLevel(StrEnum):
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class NewEvent:
    message: str
    type: EventType = EventType.MESSAGE
    level: EventLevel = EventLevel.INFO
    data: dict[str, Any] | None = field(default=None)


@dataclass(frozen=True, slots=True)
class QueueOutlook:
    position: int
    """1 is next."""
    starts_in_s: float | None
    """None when too little is known of what is ahead."""
    num_workers: int
    """Live ones of the queue that claim work."""
    is_one_free: bool
    """Whether one of them is, for as long as nobody else asks."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Measurements by step, all of them or as many as a chart can show."""

    points: list[dict[str, Any]]
    num_steps: int
    """How many there are in the range that was asked for."""
    is_downsampled: bool
