"""Why nobody works on a job that is to be done: what its owner is told while it waits."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice

from sqlalchemy.orm import Session

from core.jobs.failures import failure_with_code
from core.jobs.models import Job, JobAttempt
from core.jobs.repository import JobRepository
from core.jobs.states import AttemptOutcome, JobState
from core.kit.clock import utc_now

_NUM_TOLD = 10
_MINUTE_S, _IN_SECONDS_UP_TO_S = 60, 90


class WaitReason(StrEnum):
    NO_WORKER = "no_worker"
    """No live worker serves its queue."""
    RETRY = "retry"
    """An attempt failed, and another is due."""
    TURN = "turn"
    """Others are before it, or all workers of its queue are at work."""
    START = "start"
    """Nothing: it was asked for this moment."""


@dataclass(frozen=True, slots=True)
class Wait:
    reason: WaitReason
    message: str
    until: datetime | None = None
    """Nobody begins with it before."""


def waits_of(session: Session, jobs: Iterable[Job]) -> dict[str, Wait]:
    """By the job's id, of the first few that wait: each asks the queue."""
    queued = (job for job in jobs if job.state is JobState.QUEUED)
    return {job.id: _wait_of(session, job) for job in islice(queued, _NUM_TOLD)}


def _wait_of(session: Session, job: Job) -> Wait:
    repository = JobRepository(session, job.workspace_id)
    outlook = repository.outlook(queue_name=job.queue, job=job)
    if outlook.num_workers == 0:
        return Wait(
            WaitReason.NO_WORKER,
            "No machine is here that could do it. It begins by itself as soon as there is one; your admin can start "
            "one, or see what became of it.",
        )
    last = next(reversed(repository.attempts(job.id)), None)
    if last is not None and last.outcome in {AttemptOutcome.RETRIED, AttemptOutcome.LEASE_EXPIRED}:
        return _retry(job, last)
    if outlook.is_one_free:
        return Wait(WaitReason.START, "It begins as soon as a machine takes it, mostly at once.")
    num_ahead = outlook.position - 1
    if num_ahead == 0:
        return Wait(WaitReason.TURN, "All machines are at work. It is next.")
    others = "1 other job is" if num_ahead == 1 else f"{num_ahead:,} other jobs are"
    return Wait(WaitReason.TURN, f"It waits for its turn: {others} before it.")


def _retry(job: Job, last: JobAttempt) -> Wait:
    num_failed = job.attempt - job.num_interruptions
    wait_s = 0.0 if job.not_before is None else (job.not_before - utc_now()).total_seconds()
    when = f"in {_spoken(wait_s)}" if wait_s > 0 else "as soon as a machine is free"
    return Wait(
        WaitReason.RETRY,
        f"Try {num_failed} failed. {_what_happened(last)} Next try {when}.",
        until=job.not_before if wait_s > 0 else None,
    )


def _what_happened(attempt: JobAttempt) -> str:
    """Without the advice, which is for when nothing is tried any more."""
    if attempt.outcome is AttemptOutcome.LEASE_EXPIRED:
        return "The machine that worked on it stopped answering."
    error = attempt.error or {}
    failure = failure_with_code(str(error.get("code")))
    if failure is None:
        return str(error.get("message", "It came to no end."))
    return failure.retry.told or failure.message


def _spoken(seconds: float) -> str:
    num = math.ceil(seconds)
    if num <= _IN_SECONDS_UP_TO_S:
        return f"{num} second{'' if num == 1 else 's'}"
    return f"{round(num / _MINUTE_S)} minutes"
