from collections.abc import Callable
from datetime import timedelta

import pytest

from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.failures import FAILURES, error_from
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome
from core.jobs.types import JobError, Lease
from core.jobs.waits import Wait, WaitReason
from core.kit import clock
from core.workers import service as workers

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]
Change = Callable[[str], None]
Told = Callable[[], Wait]


@pytest.fixture
def job(submit: Submit) -> Job:
    return submit()


@pytest.fixture
def told(database: Database, job: Job) -> Told:
    def _told() -> Wait:
        with database.session(workspace_scope(job.workspace_id)) as session:
            found = jobs.get(session, workspace_id=job.workspace_id, job_id=job.id)
            return jobs.waits_of(session, [found])[job.id]

    return _told


def join(database: Database, queue_name: QueueName = QueueName.IO) -> None:
    with database.session(SYSTEM) as session:
        workers.beat(session, worker_id=f"w-{queue_name}", hostname="h", queue_name=queue_name, pid=1, version="0")


def try_once(
    database: Database, claim: Claim, error: JobError | None, outcome: AttemptOutcome = AttemptOutcome.RETRIED
) -> None:
    lease = claim()
    assert lease is not None
    with database.session(SYSTEM) as session:
        jobs.requeue(session, lease, outcome=outcome, error=error)


def test_with_nobody_there_it_waits_for_a_machine_not_for_a_free_one(database: Database, told: Told) -> None:
    join(database, QueueName.GPU)
    assert told().reason is WaitReason.NO_WORKER
    assert "No machine is here" in told().message


def test_beside_an_idle_machine_it_is_about_to_begin(database: Database, told: Told) -> None:
    join(database)
    assert told().reason is WaitReason.START


def test_behind_others_it_is_told_how_many(database: Database, submit: Submit, claim: Claim, told: Told) -> None:
    join(database)
    submit(priority=2)
    assert claim() is not None
    assert told() == Wait(WaitReason.TURN, "All machines are at work. It is next.")
    submit(priority=1)
    assert told().message == "It waits for its turn: 1 other job is before it."
    submit(priority=1)
    assert told().message == "It waits for its turn: 2 other jobs are before it."


def test_after_a_failed_try_it_is_told_what_failed_and_when_the_next_is(
    database: Database, claim: Claim, make_due: Change, job: Job, told: Told
) -> None:
    join(database)
    try_once(database, claim, error_from(FAILURES["storage_unavailable"]))
    wait = told()
    assert wait.reason is WaitReason.RETRY
    assert wait.message.startswith("Try 1 failed. Our storage did not answer for a long time. Next try in ")
    assert wait.message.endswith(" seconds.")
    assert wait.until is not None
    assert clock.utc_now() < wait.until <= clock.utc_now() + timedelta(seconds=5)
    make_due(job.id)
    assert told().until is None
    assert told().message.endswith(" Next try as soon as a machine is free.")
    try_once(database, claim, JobError(code="unheard_of", message="The moon was in the way."))
    assert told().message.startswith("Try 2 failed. The moon was in the way. Next try in ")


def test_a_long_pause_is_told_in_minutes(
    database: Database, claim: Claim, change: Callable[..., None], job: Job, told: Told
) -> None:
    join(database)
    try_once(database, claim, error_from(FAILURES["storage_unavailable"]))
    change(job.id, "not_before = now() + interval '4 minutes'")
    assert told().message.endswith("Next try in 4 minutes.")


def test_what_the_next_try_does_differently_is_told(database: Database, claim: Claim, told: Told) -> None:
    join(database)
    try_once(database, claim, error_from(FAILURES["out_of_memory"]))
    assert "with half as much at a time" in told().message
    assert "even in half the portions" not in told().message


def test_a_machine_that_fell_silent_is_told_once(
    database: Database, claim: Claim, expire: Change, job: Job, told: Told
) -> None:
    join(database)
    assert claim() is not None
    expire(job.id)
    with database.session(SYSTEM) as session:
        jobs.reap(session)
    assert told().message.startswith("Try 1 failed. The machine that worked on it stopped answering. Next try in ")


def test_an_interruption_is_no_failed_try(database: Database, claim: Claim, told: Told) -> None:
    join(database)
    try_once(database, claim, error_from(FAILURES["interrupted"]), AttemptOutcome.INTERRUPTED)
    assert told().reason is WaitReason.START


def test_what_runs_waits_for_nothing_and_of_many_the_first_are_told(
    database: Database, submit: Submit, claim: Claim, workspace_id: str
) -> None:
    submit(priority=1)
    lease = claim()
    assert lease is not None
    waiting = [submit() for _ in range(11)]
    with database.session(workspace_scope(workspace_id)) as session:
        found = jobs.get_many(session, workspace_id=workspace_id, job_ids=[lease.job_id, *(job.id for job in waiting)])
        told = jobs.waits_of(session, [found[lease.job_id], *(found[job.id] for job in waiting)])
    assert list(told) == [job.id for job in waiting[:10]]
