from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from core.backends.events import RecordingEventBus
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.jobs.types import Lease

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]
Look = Callable[[str], Job]
Change = Callable[[str], None]


def test_an_expired_lease_is_queued_again_for_later(
    database: Database, submit: Submit, claim: Claim, expire: Change, look: Look
) -> None:
    job = submit()
    claim()
    expire(job.id)
    bus = RecordingEventBus()
    with database.session(SYSTEM) as session:
        jobs.reap(session, bus=bus)
    now = look(job.id)
    assert now.state is JobState.QUEUED
    assert now.not_before is not None
    assert bus.published == [jobs.channel(job.workspace_id, job.id)]
    with database.session(SYSTEM) as session:
        (attempt,) = jobs.list_attempts(session, workspace_id=job.workspace_id, job_id=job.id)
    assert attempt.outcome is AttemptOutcome.LEASE_EXPIRED


def test_a_live_lease_is_left_alone(database: Database, submit: Submit, claim: Claim, look: Look) -> None:
    job = submit()
    claim()
    with database.session(SYSTEM) as session:
        jobs.reap(session)
    assert look(job.id).state is JobState.RUNNING


def test_after_the_last_attempt_it_fails_and_is_our_fault(
    database: Database, submit: Submit, claim: Claim, expire: Change, look: Look
) -> None:
    job = submit(max_attempts=1)
    claim()
    expire(job.id)
    settled: list[str] = []
    with database.session(SYSTEM) as session:
        jobs.reap(session, settle=lambda _, ended: settled.append(ended.id))
    now = look(job.id)
    assert (now.state, now.blame) == (JobState.FAILED, Blame.PLATFORM_ERROR)
    assert now.error is not None
    assert now.error["code"] == "worker_lost"
    assert settled == [job.id]


def test_a_cancel_outlives_its_worker(
    database: Database, submit: Submit, claim: Claim, expire: Change, look: Look
) -> None:
    job = submit()
    claim()
    with database.session(SYSTEM) as session:
        jobs.request_cancel(session, workspace_id=job.workspace_id, job_id=job.id)
    expire(job.id)
    with database.session(SYSTEM) as session:
        assert jobs.reap(session).num_ended == 1
    assert look(job.id).state is JobState.CANCELLED


def test_what_is_to_be_cancelled_and_has_no_holder_is_cancelled(
    database: Database, submit: Submit, claim: Claim, change: Callable[..., None], look: Look
) -> None:
    job = submit()
    change(job.id, "cancel_requested_at = now()")
    assert claim() is None
    with database.session(SYSTEM) as session:
        jobs.reap(session)
    assert look(job.id).state is JobState.CANCELLED


def test_one_job_that_cannot_be_settled_does_not_hold_up_the_others(
    database: Database, submit: Submit, claim: Claim, expire: Change, look: Look
) -> None:
    bad, good = submit(max_attempts=1), submit(max_attempts=1)
    for job in (bad, good):
        claim()
        expire(job.id)

    def settle(session: Session, job: Job) -> None:
        if job.id == bad.id:
            raise RuntimeError("broken")

    with database.session(SYSTEM) as session:
        jobs.reap(session, settle=settle)
    assert look(bad.id).state is JobState.RUNNING
    assert look(good.id).state is JobState.FAILED
