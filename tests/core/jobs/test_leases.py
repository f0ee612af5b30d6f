from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.jobs.types import Lease, NewEvent

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]
Look = Callable[[str], Job]
Change = Callable[[str], None]


def claimed(claim: Claim, **arguments: object) -> Lease:
    lease = claim(**arguments)
    assert lease is not None
    return lease


class TestClaim:
    def test_a_claimed_job_has_a_holder_a_number_and_a_history(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job = submit(payload={"version_id": "dsv_1"})
        lease = claimed(claim)
        assert (lease.job_id, lease.attempt, lease.payload) == (job.id, 1, {"version_id": "dsv_1"})
        now = look(job.id)
        assert (now.state, now.lease_owner) == (JobState.RUNNING, "w1")
        assert now.started_at is not None
        assert now.lease_expires_at is not None
        assert 59 <= (now.lease_expires_at - now.started_at).total_seconds() <= 61
        with database.session(SYSTEM) as session:
            (attempt,) = jobs.list_attempts(session, workspace_id=workspace_id, job_id=job.id)
        assert (attempt.attempt, attempt.worker_id, attempt.outcome) == (1, "w1", None)

    def test_there_is_nothing_to_claim_in_another_queue(self, submit: Submit, claim: Claim) -> None:
        submit()
        assert claim(queue_name="cpu") is None

    def test_what_waits_for_its_data_cannot_be_claimed(self, submit: Submit, claim: Claim) -> None:
        submit(state=JobState.VALIDATING)
        assert claim() is None

    def test_many_claimers_never_get_the_same_job(self, database: Database, submit: Submit, claim: Claim) -> None:
        wanted = {submit().id for _ in range(24)}

        def claim_all(worker: int) -> list[str]:
            found = []
            while (lease := claim(worker_id=f"w{worker}")) is not None:
                found.append(lease.job_id)
            return found

        with ThreadPoolExecutor(8) as pool:
            got = [job_id for found in pool.map(claim_all, range(8)) for job_id in found]
        # a row that another claimer holds this instant is stepped over, so a few may be left for the next bell
        while (lease := claim()) is not None:
            got.append(lease.job_id)
        assert sorted(got) == sorted(wanted)

    def test_the_workspace_with_fewer_running_jobs_goes_first(
        self, submit: Submit, claim: Claim, workspace_id: str, other_workspace_id: str
    ) -> None:
        for _ in range(4):
            submit()
        submit(workspace_id=other_workspace_id)
        order = [claimed(claim).workspace_id for _ in range(3)]
        assert order == [workspace_id, other_workspace_id, workspace_id]

    def test_priority_goes_before_age(self, submit: Submit, claim: Claim) -> None:
        old, urgent = submit(), submit(priority=5)
        assert [claimed(claim).job_id for _ in range(2)] == [urgent.id, old.id]

    def test_a_job_that_is_not_due_is_left(self, submit: Submit, claim: Claim, change: Callable[..., None]) -> None:
        job = submit()
        change(job.id, "not_before = now() + interval '1 hour'")
        assert claim() is None


class TestFencing:
    def test_a_stale_attempt_writes_nothing(
        self, database: Database, submit: Submit, claim: Claim, expire: Change, make_due: Change, look: Look
    ) -> None:
        job = submit()
        old = claimed(claim)
        expire(job.id)
        with database.session(SYSTEM) as session:
            assert jobs.reap(session).num_requeued == 1
        make_due(job.id)
        new = claimed(claim, worker_id="w2")
        assert new.attempt == 2
        before = look(job.id)
        with database.session(SYSTEM) as session:
            assert jobs.heartbeat(session, old).fenced
            assert not jobs.record_events(session, old, [NewEvent("zombie")])
            assert not jobs.set_stage(session, old, "zombie")
            assert not jobs.set_progress(session, old, step=9, total_steps=9)
            assert not jobs.finish(session, old, JobState.SUCCEEDED)
            assert jobs.requeue(session, old) is None
        after = look(job.id)
        columns = [column.key for column in Job.__table__.columns]
        assert {name: getattr(after, name) for name in columns} == {name: getattr(before, name) for name in columns}
        with database.session(SYSTEM) as session:
            events = jobs.events_after(session, workspace_id=job.workspace_id, job_id=job.id, after_seq=0)
        assert "zombie" not in {event.message for event in events}

    def test_another_workspaces_session_cannot_write_under_a_lease(
        self, database: Database, submit: Submit, claim: Claim, other_workspace_id: str
    ) -> None:
        submit()
        forged = replace(claimed(claim), workspace_id=other_workspace_id)
        with database.session(SYSTEM) as session:
            assert jobs.heartbeat(session, forged).fenced
            assert not jobs.finish(session, forged, JobState.FAILED)

    def test_a_heartbeat_moves_the_end_of_the_lease(
        self, database: Database, submit: Submit, claim: Claim, look: Look
    ) -> None:
        job = submit()
        lease = claimed(claim, lease_s=1)
        before = look(job.id).lease_expires_at
        with database.session(SYSTEM) as session:
            reply = jobs.heartbeat(session, lease, lease_s=60)
        assert not reply.fenced
        assert not reply.cancel_requested
        after = look(job.id).lease_expires_at
        assert before is not None
        assert after is not None
        assert (after - before).total_seconds() > 50


class TestFinish:
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_it_happens_once(
        self, database: Database, submit: Submit, claim: Claim, look: Look, state: JobState
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with ThreadPoolExecutor(4) as pool:

            def finish(_: int) -> bool:
                with database.session(SYSTEM) as session:
                    return jobs.finish(session, lease, state)

            assert Counter(pool.map(finish, range(4))) == {True: 1, False: 3}
        now = look(job.id)
        assert now.state is state
        assert now.finished_at is not None
        assert now.lease_expires_at is None
        with database.session(SYSTEM) as session:
            (attempt,) = jobs.list_attempts(session, workspace_id=job.workspace_id, job_id=job.id)
        assert attempt.outcome == state.value
        assert attempt.ended_at is not None

    def test_a_failure_keeps_its_reason_and_says_it(
        self, database: Database, submit: Submit, claim: Claim, look: Look
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            error = {"code": "too_few_rows", "message": "There are only 3 rows."}
            assert jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.USER_ERROR)
            events = jobs.events_after(session, workspace_id=job.workspace_id, job_id=job.id, after_seq=0)
        assert look(job.id).error == error
        assert look(job.id).blame is Blame.USER_ERROR
        assert [(event.level, event.message) for event in events] == [("error", "There are only 3 rows.")]

    def test_a_state_that_is_no_end_is_refused(self, database: Database, submit: Submit, claim: Claim) -> None:
        submit()
        lease = claimed(claim)
        with pytest.raises(ValueError, match="queued"), database.session(SYSTEM) as session:
            jobs.finish(session, lease, JobState.QUEUED)


class TestRequeue:
    def test_each_retry_waits_longer_and_the_last_failure_is_final(
        self, database: Database, submit: Submit, claim: Claim, look: Look, make_due: Change
    ) -> None:
        job = submit(max_attempts=3)
        delays = []
        for _ in range(2):
            lease = claimed(claim)
            with database.session(SYSTEM) as session:
                assert jobs.requeue(session, lease) is JobState.QUEUED
                delays.append(
                    session.scalar(
                        text("select extract(epoch from not_before - now()) from jobs where id = :id"), {"id": job.id}
                    )
                )
            assert claim() is None, "it is not due yet"
            make_due(job.id)
        assert delays == [5, 10]
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            error = {"code": "internal_error", "message": "It broke."}
            assert jobs.requeue(session, lease, error=error) is JobState.FAILED
        assert look(job.id).blame is Blame.PLATFORM_ERROR
        assert look(job.id).error == error

    def test_an_interruption_costs_no_attempt_and_no_wait(
        self, database: Database, submit: Submit, claim: Claim, look: Look
    ) -> None:
        job = submit(max_attempts=1)
        for attempt in (1, 2, 3):
            lease = claimed(claim)
            assert lease.attempt == attempt
            with database.session(SYSTEM) as session:
                assert jobs.requeue(session, lease, outcome=AttemptOutcome.INTERRUPTED) is JobState.QUEUED
        assert look(job.id).num_interruptions == 3

    def test_the_next_attempt_gets_the_changed_payload(
        self, database: Database, submit: Submit, claim: Claim, make_due: Change
    ) -> None:
        job = submit(payload={"a": 1, "micro_batch": 8})
        with database.session(SYSTEM) as session:
            jobs.requeue(session, claimed(claim), payload_changes={"micro_batch": 4})
        make_due(job.id)
        assert claimed(claim).payload == {"a": 1, "micro_batch": 4}

    def test_what_was_to_be_cancelled_does_not_come_back(
        self, database: Database, submit: Submit, claim: Claim
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            jobs.request_cancel(session, workspace_id=job.workspace_id, job_id=job.id)
            assert jobs.requeue(session, lease) is JobState.CANCELLED
