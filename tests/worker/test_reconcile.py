from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.workers import service as workers
from worker.reconcile import reconcile

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]


@pytest.fixture
def queue(backends: Backends) -> RecordingTaskQueue:
    assert isinstance(backends.queue, RecordingTaskQueue)
    return backends.queue


def serve(database: Database, queue_name: QueueName = QueueName.IO, worker_id: str = "w1") -> None:
    with database.session(SYSTEM) as session:
        workers.beat(session, worker_id=worker_id, hostname="h", queue_name=queue_name, pid=1, version="0")


def test_a_lost_doorbell_is_rung_again(
    database: Database, backends: Backends, queue: RecordingTaskQueue, submit: Submit
) -> None:
    serve(database)
    job = submit()
    reconcile(database, backends)
    assert queue.rung == [("io", job.id)]


def test_a_queue_that_nobody_serves_is_not_filled_with_messages(
    database: Database, backends: Backends, queue: RecordingTaskQueue, submit: Submit
) -> None:
    serve(database, QueueName.CPU)
    submit()
    reconcile(database, backends)
    assert queue.rung == []


def test_a_hundred_jobs_need_no_hundred_messages(
    database: Database, backends: Backends, queue: RecordingTaskQueue, submit: Submit
) -> None:
    serve(database)
    for _ in range(12):
        submit()
    reconcile(database, backends)
    assert 1 <= len(queue.rung) <= 8


def test_a_dead_workers_job_is_rung_for_when_it_is_due(
    database: Database, backends: Backends, queue: RecordingTaskQueue, lease: Lease
) -> None:
    serve(database)
    with database.session(SYSTEM) as session:
        session.execute(text("update jobs set lease_expires_at = now() - interval '1 s'"))
    reaped = reconcile(database, backends)
    assert reaped is not None
    assert (reaped.num_requeued, queue.rung) == (1, [])
    with database.session(SYSTEM) as session:
        session.execute(text("update jobs set not_before = now()"))
    reconcile(database, backends)
    assert queue.rung == [("io", lease.job_id)]


def test_the_task_of_a_job_that_ended_without_it_is_told(
    database: Database, backends: Backends, lease: Lease, look: Callable[[str], Job]
) -> None:
    with database.session(SYSTEM) as session:
        jobs.request_cancel(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
        session.execute(text("update jobs set lease_expires_at = now() - interval '1 s'"))
    settled: list[tuple[str, JobState]] = []
    handler = SimpleNamespace(settle=lambda _, job: settled.append((job.id, job.state)))
    reconcile(database, backends, handlers=lambda _: handler)  # type: ignore[arg-type, return-value]
    assert settled == [(lease.job_id, JobState.CANCELLED)]


def test_only_one_process_reconciles_at_a_time(
    database: Database, backends: Backends, queue: RecordingTaskQueue, submit: Submit
) -> None:
    serve(database)
    submit()
    with database.session(SYSTEM) as session:
        assert workers.try_lock_reconciler(session)
        assert reconcile(database, backends) is None
    assert queue.rung == []
    assert reconcile(database, backends) is not None


def test_a_silent_worker_is_forgotten_and_one_that_speaks_again_is_back(database: Database, backends: Backends) -> None:
    serve(database, worker_id="alive")
    serve(database, worker_id="silent")
    with database.session(SYSTEM) as session:
        session.execute(text("update workers set heartbeat_at = now() - interval '1 hour' where id = 'silent'"))
    reconcile(database, backends)
    with database.session(SYSTEM) as session:
        assert [worker.id for worker in workers.list_workers(session)] == ["alive"]
    serve(database, worker_id="silent")
    with database.session(SYSTEM) as session:
        assert len(workers.list_workers(session)) == 2
