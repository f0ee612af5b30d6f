from collections.abc import Callable
from datetime import timedelta

import pytest

from core.backends.events import RecordingEventBus
from core.backends.queue import RecordingTaskQueue
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Conflict, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import Blame, JobState
from core.jobs.types import EventType, Lease, NewEvent
from core.kit import clock
from core.kit.pagination import PageRequest
from core.workers import service as workers

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]
Look = Callable[[str], Job]


def cancel(database: Database, job: Job) -> Job:
    with database.session(workspace_scope(job.workspace_id)) as session:
        return jobs.request_cancel(session, workspace_id=job.workspace_id, job_id=job.id)


class TestSubmit:
    def test_the_bell_rings_after_the_commit_only(self, database: Database, workspace_id: str) -> None:
        queue = RecordingTaskQueue()
        with database.session(workspace_scope(workspace_id)) as session:
            job = jobs.submit(
                session,
                workspace_id=workspace_id,
                kind="training.run",
                payload={},
                created_by=None,
                queue=queue,
            )
            assert queue.rung == []
        assert queue.rung == [("cpu", job.id)]

    def test_a_rollback_rings_nothing(self, database: Database, workspace_id: str) -> None:
        queue = RecordingTaskQueue()
        with pytest.raises(RuntimeError), database.session(workspace_scope(workspace_id)) as session:
            jobs.submit(
                session,
                workspace_id=workspace_id,
                kind=JobKind.TRAINING_RUN,
                payload={},
                created_by=None,
                queue=queue,
            )
            raise RuntimeError
        assert queue.rung == []

    def test_a_job_begins_waiting_or_queued(self, submit: Submit) -> None:
        with pytest.raises(ValueError, match="running"):
            submit(state=JobState.RUNNING)


class TestWaiting:
    def test_release_queues_and_rings(self, database: Database, submit: Submit, claim: Claim) -> None:
        job = submit(state=JobState.VALIDATING, payload={"a": 1})
        queue, bus = RecordingTaskQueue(), RecordingEventBus()
        with database.session(SYSTEM) as session:
            assert jobs.release(session, job, queue, payload_changes={"b": 2}, bus=bus) is not None
        assert queue.rung == [("io", job.id)]
        assert bus.published == [jobs.channel(job.workspace_id, job.id)]
        lease = claim()
        assert lease is not None
        assert lease.payload == {"a": 1, "b": 2}

    def test_release_of_what_no_longer_waits_does_nothing(self, database: Database, submit: Submit) -> None:
        job = submit(state=JobState.VALIDATING)
        cancel(database, job)
        queue = RecordingTaskQueue()
        with database.session(SYSTEM) as session:
            assert jobs.release(session, job, queue) is None
        assert queue.rung == []

    def test_what_waits_in_vain_fails(self, database: Database, submit: Submit, look: Look) -> None:
        job = submit(state=JobState.VALIDATING)
        for expected in (True, False):
            with database.session(SYSTEM) as session:
                failed = jobs.fail_waiting(
                    session,
                    workspace_id=job.workspace_id,
                    job_id=job.id,
                    error={"code": "dataset_failed", "message": "The data has problems."},
                    blame=Blame.USER_ERROR,
                )
            assert (failed is not None) is expected
        assert (look(job.id).state, look(job.id).blame) == (JobState.FAILED, Blame.USER_ERROR)

    def test_what_waited_in_vain_is_not_about_to_be_paused(self, database: Database, submit: Submit) -> None:
        job = submit(state=JobState.VALIDATING)
        with database.session(SYSTEM) as session:
            jobs.request_pause(session, workspace_id=job.workspace_id, job_id=job.id)
            failed = jobs.fail_waiting(
                session,
                workspace_id=job.workspace_id,
                job_id=job.id,
                error={"code": "dataset_failed", "message": "The data has problems."},
                blame=Blame.USER_ERROR,
            )
            assert failed is not None
            assert failed.pause_requested_at is None


class TestCancel:
    @pytest.mark.parametrize("state", [JobState.VALIDATING, JobState.QUEUED])
    def test_what_nobody_works_on_is_cancelled_at_once(
        self, database: Database, submit: Submit, claim: Claim, state: JobState
    ) -> None:
        job = cancel(database, submit(state=state))
        assert job.state is JobState.CANCELLED
        assert job.finished_at is not None
        assert claim() is None

    def test_what_is_paused_is_cancelled_at_once(
        self, database: Database, submit: Submit, change: Callable[..., None]
    ) -> None:
        job = submit()
        change(job.id, "state = 'paused'")
        assert cancel(database, job).state is JobState.CANCELLED

    def test_what_runs_is_asked_to_stop_and_hears_it_at_the_heartbeat(
        self, database: Database, submit: Submit, claim: Claim
    ) -> None:
        job = submit()
        lease = claim()
        assert lease is not None
        asked = cancel(database, job)
        assert asked.state is JobState.RUNNING
        assert asked.cancel_requested_at is not None
        with database.session(SYSTEM) as session:
            assert jobs.heartbeat(session, lease).cancel_requested

    def test_asking_twice_says_it_once(self, database: Database, submit: Submit, claim: Claim) -> None:
        job = submit()
        claim()
        first, second = cancel(database, job), cancel(database, job)
        assert first.cancel_requested_at == second.cancel_requested_at
        with database.session(SYSTEM) as session:
            page = jobs.list_events(session, workspace_id=job.workspace_id, job_id=job.id)
        assert len(page.items) == 1

    def test_a_cancelled_job_stays_as_it_is(self, database: Database, submit: Submit) -> None:
        job = submit()
        assert cancel(database, job).finished_at == cancel(database, job).finished_at

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
    def test_what_is_over_cannot_be_cancelled(
        self, database: Database, submit: Submit, claim: Claim, state: JobState
    ) -> None:
        job = submit()
        lease = claim()
        assert lease is not None
        with database.session(SYSTEM) as session:
            jobs.finish(session, lease, state)
        with pytest.raises(Conflict) as caught:
            cancel(database, job)
        assert caught.value.error_code == "job_state_conflict"

    def test_another_workspaces_job_is_not_there(
        self, database: Database, submit: Submit, other_workspace_id: str
    ) -> None:
        job = submit()
        with pytest.raises(NotFound), database.session(workspace_scope(other_workspace_id)) as session:
            jobs.request_cancel(session, workspace_id=other_workspace_id, job_id=job.id)


class TestEvents:
    def test_pages_and_the_rest_after_a_number_agree(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        job = submit()
        lease = claim()
        assert lease is not None
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.record_events(session, lease, [NewEvent(f"{n}") for n in range(3)])
            jobs.record_events(session, lease, [NewEvent("m", type=EventType.METRICS, data={"step": 1})])
            jobs.append_event(session, workspace_id=workspace_id, job_id=job.id, message="from the api")
        with database.session(workspace_scope(workspace_id)) as session:
            everything = jobs.events_after(session, workspace_id=workspace_id, job_id=job.id, after_seq=0)
            rest = jobs.events_after(session, workspace_id=workspace_id, job_id=job.id, after_seq=everything[1].seq)
            first = jobs.list_events(session, workspace_id=workspace_id, job_id=job.id, page=PageRequest(limit=2))
            second = jobs.list_events(
                session,
                workspace_id=workspace_id,
                job_id=job.id,
                page=PageRequest(limit=3, after=first.items[-1].id),
            )
            metrics = jobs.list_events(session, workspace_id=workspace_id, job_id=job.id, type=EventType.METRICS)
        assert [event.message for event in everything] == ["0", "1", "2", "m", "from the api"]
        assert [event.message for event in rest] == ["2", "m", "from the api"]
        assert [event.message for event in first.items] == ["from the api", "m"]
        assert first.has_more
        assert [event.message for event in second.items] == ["2", "1", "0"]
        assert not second.has_more
        assert [event.data for event in metrics.items] == [{"step": 1}]
        assert all(event.attempt == 1 for event in everything)


def _join(database: Database, worker_id: str) -> None:
    with database.session(SYSTEM) as session:
        workers.beat(session, worker_id=worker_id, hostname="h", queue_name=QueueName.IO, pid=1, version="0")


class TestOutlook:
    def test_the_position_counts_every_workspaces_jobs(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str, other_workspace_id: str
    ) -> None:
        submit(workspace_id=other_workspace_id, estimated_s=100)
        assert claim() is not None
        submit(workspace_id=other_workspace_id, estimated_s=40)
        job = submit()
        urgent = submit(priority=1)
        with database.session(workspace_scope(workspace_id)) as session:
            mine = jobs.queue_position(session, workspace_id=workspace_id, job_id=job.id)
            first = jobs.queue_position(session, workspace_id=workspace_id, job_id=urgent.id)
            visible = jobs.get_many(session, workspace_id=workspace_id, job_ids=[job.id, urgent.id])
        assert mine is not None
        assert mine.position == 3
        assert first is not None
        assert first.position == 1
        assert set(visible) == {job.id, urgent.id}

    def test_the_wait_is_the_known_rest_shared_by_the_workers(
        self, database: Database, submit: Submit, claim: Claim, workspace_id: str
    ) -> None:
        running = submit()
        lease = claim()
        assert lease is not None
        submit(estimated_s=40)
        with database.session(SYSTEM) as session:
            jobs.set_progress(session, lease, step=1, total_steps=9, seconds_left=100)
        _join(database, "w1")
        with database.session(workspace_scope(workspace_id)) as session:
            alone = jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO)
        assert alone.position == 2
        assert alone.starts_in_s == pytest.approx(140, abs=2)
        _join(database, "w2")
        with database.session(workspace_scope(workspace_id)) as session:
            shared = jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO)
            assert jobs.queue_position(session, workspace_id=workspace_id, job_id=running.id) is None
        assert shared.starts_in_s == pytest.approx(70, abs=1)

    def test_it_is_unknown_behind_the_unknown_and_now_when_a_worker_is_free(
        self, database: Database, submit: Submit, workspace_id: str
    ) -> None:
        _join(database, "w1")
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO).starts_in_s == 0
        submit()
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO).starts_in_s is None

    def test_it_is_unknown_while_no_worker_serves_the_queue(self, database: Database, workspace_id: str) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            assert jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO).starts_in_s is None

    def test_a_scheduled_job_starts_no_sooner_than_its_moment(
        self, database: Database, submit: Submit, workspace_id: str
    ) -> None:
        _join(database, "w1")
        job = submit(not_before=clock.utc_now() + timedelta(hours=1))
        with database.session(workspace_scope(workspace_id)) as session:
            outlook = jobs.queue_position(session, workspace_id=workspace_id, job_id=job.id)
        assert outlook is not None
        assert outlook.starts_in_s == pytest.approx(3600, abs=5)

    def test_of_a_busier_workspace_only_as_many_jobs_go_first_as_fairness_gives_it(
        self, database: Database, submit: Submit, workspace_id: str, other_workspace_id: str
    ) -> None:
        for _ in range(9):
            submit(workspace_id=other_workspace_id, estimated_s=10)
        mine = [submit(estimated_s=10).id for _ in range(2)]
        with database.session(workspace_scope(workspace_id)) as session:
            found = [jobs.queue_position(session, workspace_id=workspace_id, job_id=job_id) for job_id in mine]
        assert [outlook.position for outlook in found if outlook] == [2, 4]

    def test_looking_ahead_does_not_widen_what_a_session_sees(
        self, database: Database, submit: Submit, workspace_id: str, other_workspace_id: str
    ) -> None:
        foreign = submit(workspace_id=other_workspace_id)
        with database.session(workspace_scope(workspace_id)) as session:
            jobs.outlook(session, workspace_id=workspace_id, queue_name=QueueName.IO)
            assert session.get(Job, foreign.id) is None
