"""Steering jobs: pause, resume, cancel, order, later; each mind double clicks and what runs meanwhile."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from core.backends.queue import RecordingTaskQueue
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict, Invalid, NotFound
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.jobs.types import Lease
from core.kit import clock

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]
Look = Callable[[str], Job]


def claimed(claim: Claim, **arguments: object) -> Lease:
    lease = claim(**arguments)
    assert lease is not None
    return lease


def messages(database: Database, job: Job) -> list[str]:
    with database.session(SYSTEM) as session:
        page = jobs.list_events(session, workspace_id=job.workspace_id, job_id=job.id)
    return [event.message for event in reversed(page.items)]


class TestPause:
    def test_a_queued_job_pauses_at_once_and_nobody_claims_it(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit()
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id).state is JobState.PAUSED
            again = jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
        assert again.state is JobState.PAUSED
        assert claim() is None
        assert messages(database, job) == ["Paused."]

    def test_a_running_job_is_asked_and_its_worker_pauses_it(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(workspace_scope(workspace_id)) as session:
            asked = jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
            assert asked.state is JobState.RUNNING
            assert jobs.heartbeat(session, lease).pause_requested
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.pause(session, lease) is JobState.PAUSED
        paused = look(job.id)
        assert (paused.pause_requested_at, paused.lease_owner, paused.lease_expires_at) == (None, None, None)
        with database.session(SYSTEM) as session:
            (attempt,) = jobs.list_attempts(session, workspace_id=workspace_id, job_id=job.id)
            assert jobs.pause(session, lease) is None
        assert attempt.outcome is AttemptOutcome.PAUSED

    def test_a_job_that_waits_for_its_data_pauses_when_that_is_there(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit(state=JobState.VALIDATING)
        with database.session(workspace_scope(workspace_id)) as session:
            asked = jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
            assert asked.state is JobState.VALIDATING
            released = jobs.release(session, asked, None)
        assert released is not None
        assert released.state is JobState.PAUSED
        assert claim() is None

    def test_a_worker_that_dies_with_a_pause_asked_leaves_a_paused_job(
        self,
        database: Database,
        submit: Submit,
        claim: Claim,
        look: Look,
        expire: Callable[[str], None],
        workspace_id: str,
    ) -> None:
        job = submit()
        claimed(claim)
        with database.session(SYSTEM) as session:
            jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
        expire(job.id)
        with database.session(SYSTEM) as session:
            jobs.reap(session)
        assert look(job.id).state is JobState.PAUSED

    def test_a_cancel_that_came_meanwhile_wins(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
            jobs.request_cancel(session, workspace_id=workspace_id, job_id=job.id)
            assert jobs.pause(session, lease) is JobState.CANCELLED
            with pytest.raises(Conflict):
                jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)

    def test_the_spending_limit_pauses_with_its_reason(
        self, database: Database, submit: Submit, claim: Claim, look: Look
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            error = {"code": "budget_reached", "message": "It has cost what it may."}
            jobs.pause(session, lease, error=error, blame=Blame.BUDGET)  # type: ignore[arg-type]
        paused = look(job.id)
        assert (paused.blame, paused.error) == (Blame.BUDGET, error)
        assert messages(database, job) == ["It has cost what it may."]

    def test_a_pause_of_another_workspaces_job_is_a_job_that_is_not_there(
        self, database: Database, submit: Submit, other_workspace_id: str
    ) -> None:
        job = submit()
        with database.session(workspace_scope(other_workspace_id)) as session, pytest.raises(NotFound):
            jobs.request_pause(session, workspace_id=other_workspace_id, job_id=job.id)


class TestResume:
    def test_a_paused_job_goes_on_with_all_its_attempts_before_it(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job, queue = submit(max_attempts=1), RecordingTaskQueue()
        lease = claimed(claim)
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.pause(session, lease)
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.resume(session, workspace_id=workspace_id, job_id=job.id, queue=queue, payload_changes={"more": 1})
        assert queue.rung == [("io", job.id)]
        assert look(job.id).num_interruptions == 1
        lease = claimed(claim)
        assert (lease.attempt, lease.payload) == (2, {"more": 1})

    def test_a_failed_job_is_taken_up_again_and_its_failure_forgotten(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job = submit(max_attempts=1)
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            error = {"code": "internal_error", "message": "Our fault."}
            jobs.requeue(session, lease, error=error)  # type: ignore[arg-type]
        assert look(job.id).state is JobState.FAILED
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.resume(session, workspace_id=workspace_id, job_id=job.id)
        resumed = look(job.id)
        assert (resumed.state, resumed.error, resumed.blame, resumed.finished_at) == (JobState.QUEUED, None, None, None)
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            # it has its full number of attempts again
            assert jobs.requeue(session, lease, outcome=AttemptOutcome.INTERRUPTED) is JobState.QUEUED

    def test_a_pause_that_is_only_asked_for_is_taken_back(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.request_pause(session, workspace_id=workspace_id, job_id=job.id)
            assert jobs.resume(session, workspace_id=workspace_id, job_id=job.id).state is JobState.RUNNING
            assert not jobs.heartbeat(session, lease).pause_requested

    @pytest.mark.parametrize("end", [JobState.SUCCEEDED, JobState.CANCELLED])
    def test_what_succeeded_or_was_cancelled_stays_so(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str, end: JobState
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            jobs.finish(session, lease, end)
            with pytest.raises(Conflict):
                jobs.resume(session, workspace_id=workspace_id, job_id=job.id)


class TestOrder:
    @pytest.fixture
    def line(self, database: Database, workspace_id: str) -> Callable[[], list[str]]:
        def _line() -> list[str]:
            with database.session(workspace_scope(workspace_id)) as session:
                return [job.id for job in jobs.waiting(session, workspace_id=workspace_id)]

        return _line

    @pytest.fixture
    def move(self, database: Database, workspace_id: str) -> Callable[..., Job]:
        def _move(job: str, **where: object) -> Job:
            with database.session(workspace_scope(workspace_id)) as session:
                return jobs.move(session, workspace_id=workspace_id, job_id=job, **where)  # type: ignore[arg-type]

        return _move

    def test_a_job_is_moved_to_the_front_the_back_and_between(
        self, submit: Submit, line: Callable[[], list[str]], move: Callable[..., Job]
    ) -> None:
        a, b, c, d = (submit().id for _ in range(4))
        assert line() == [a, b, c, d]
        move(c, to="front")
        assert line() == [c, a, b, d]
        move(c, to="back")
        assert line() == [a, b, d, c]
        move(c, before_id=b)
        assert line() == [a, c, b, d]
        assert [*line(), submit().id] == line()

    def test_where_there_is_no_room_between_two_some_is_made(
        self, submit: Submit, line: Callable[[], list[str]], move: Callable[..., Job]
    ) -> None:
        ids = [submit().id for _ in range(5)]
        for turn in range(60):
            # halves the same gap until a double cannot tell the ranks apart
            mover = ids[3 + turn % 2]
            move(mover, before_id=ids[2])
            rest = [job for job in line() if job != mover]
            assert line().index(mover) == line().index(ids[2]) - 1
            assert rest == [job for job in line() if job != mover]
        assert sorted(line()) == sorted(ids)

    def test_it_takes_the_priority_of_those_it_is_put_between(
        self, submit: Submit, line: Callable[[], list[str]], move: Callable[..., Job]
    ) -> None:
        urgent, plain = submit(priority=9).id, submit().id
        assert move(plain, to="front").priority == 9
        assert line() == [plain, urgent]
        assert move(plain, to="back").priority == 9
        assert line() == [urgent, plain]

    def test_only_what_is_queued_has_a_place(self, submit: Submit, claim: Claim, move: Callable[..., Job]) -> None:
        running, waiting = submit(), submit()
        claimed(claim)
        with pytest.raises(Conflict):
            move(running.id, to="front")
        with pytest.raises(Conflict):
            move(submit().id, before_id=running.id)
        assert move(waiting.id, to="front").state is JobState.QUEUED

    def test_a_job_is_put_off_and_called_back(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit()
        later = clock.utc_now() + timedelta(hours=1)
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.reschedule(session, workspace_id=workspace_id, job_id=job.id, not_before=later, priority=3)
        assert claim() is None
        with database.session(workspace_scope(workspace_id)) as session:
            changed = jobs.reschedule(session, workspace_id=workspace_id, job_id=job.id, not_before=None)
            assert changed.priority == 3
            with pytest.raises(Invalid):
                jobs.reschedule(session, workspace_id=workspace_id, job_id=job.id, priority=101)
        assert claimed(claim).job_id == job.id
        with database.session(workspace_scope(workspace_id)) as session, pytest.raises(Conflict):
            jobs.reschedule(session, workspace_id=workspace_id, job_id=job.id, priority=1)


class TestKill:
    def test_the_lease_is_taken_away_and_the_attempt_does_not_count(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job = submit(max_attempts=1)
        lease = claimed(claim)
        with database.session(SYSTEM) as session:
            killed = jobs.kill(session, job_id=job.id)
            assert killed is not None
            assert jobs.kill(session, job_id=job.id) is None
        assert look(job.id).state is JobState.QUEUED
        with database.session(SYSTEM) as session:
            assert jobs.heartbeat(session, lease).fenced
            (attempt,) = jobs.list_attempts(session, workspace_id=workspace_id, job_id=job.id)
        assert attempt.outcome is AttemptOutcome.KILLED
        assert claimed(claim).attempt == 2


class TestLogs:
    def test_what_the_child_prints_is_kept_in_order_and_bounded(
        self, database: Database, submit: Submit, claim: Claim, look: Look, workspace_id: str
    ) -> None:
        job = submit()
        lease = claimed(claim)
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.append_logs(session, lease, "one\n")
            assert jobs.append_logs(session, lease, "two\n")
        with database.session(SYSTEM) as session:
            first, second = jobs.logs_after(session, job_id=job.id)
            assert [first.text, second.text] == ["one\n", "two\n"]
            assert [piece.text for piece in jobs.logs_after(session, job_id=job.id, after_seq=first.seq)] == ["two\n"]
        with database.session(workspace_scope(workspace_id)) as session:
            for _ in range(9):
                jobs.append_logs(session, lease, "x" * 100_000)
        with database.session(SYSTEM) as session:
            kept = jobs.logs_after(session, job_id=job.id)
        assert [len(piece.text) for piece in kept] == [100_000] * 5
        with database.session(SYSTEM) as session:
            jobs.kill(session, job_id=job.id)
            assert not jobs.append_logs(session, lease, "too late")
