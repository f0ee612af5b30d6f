"""The life of a job, written once. `docs/jobs.md` draws this table, and a test compares the two."""

from enum import StrEnum
from typing import Final


class JobState(StrEnum):
    VALIDATING = "validating"
    """Waits for something else (its data) before it may queue; nobody can claim it."""
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Blame(StrEnum):
    """Who has to do something about a failure. What the platform spoiled costs the user nothing."""

    USER_ERROR = "user_error"
    PLATFORM_ERROR = "platform_error"
    BUDGET = "budget"


class AttemptOutcome(StrEnum):
    """How one lease of a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    """It failed in a way that another attempt may not."""
    INTERRUPTED = "interrupted"
    """The worker was told to stop. Not the job's fault, so it does not count against `max_attempts`."""
    LEASE_EXPIRED = "lease_expired"
    """The worker went silent."""
    PAUSED = "paused"
    """Its owner, or the spending limit, stopped it; it goes on when told."""
    KILLED = "killed"
    """An admin took the lease away. Like an interruption, it does not count against `max_attempts`."""


TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    JobState.VALIDATING: frozenset({JobState.QUEUED, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.PAUSED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.SUCCEEDED: frozenset(),
    # only its owner takes a failed job up again, after an error; no worker and no clock does
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset(),
}

# nothing happens to these by itself any more
TERMINAL: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
# a cancel of one of these needs no worker's consent
CANCELLED_AT_ONCE: Final = frozenset({JobState.VALIDATING, JobState.QUEUED, JobState.PAUSED})
# what did not end by the job's fault: these attempts do not count against `max_attempts`
FORGIVEN: Final = frozenset({AttemptOutcome.INTERRUPTED, AttemptOutcome.PAUSED, AttemptOutcome.KILLED})
