import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.backends.queue import CeleryTaskQueue
from core.config import Settings
from core.db.session import SYSTEM, Database, Scope, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, Blame, JobState
from core.jobs.types import Lease
from core.workers import service as workers
from tests.factories.waiting import eventually
from worker.app import WorkerProcess, work_once
from worker.base_model_supply import BaseModelMissing
from worker.context import WorkContext
from worker.supervise import ChildResult, JobInterrupted, run_child
from worker.tasks.registry import TaskHandler

pytestmark = [
    pytest.mark.stack,
    # about pickled messages when root; ours are JSON
    pytest.mark.filterwarnings("ignore::celery.exceptions.SecurityWarning"),
]

Submit = Callable[..., Job]
Look = Callable[[str], Job]


@dataclass
class Task:
    """A task module whose work is given."""

    work: Callable[[WorkContext, Lease], None]
    ran: list[str] = field(default_factory=list)
    settled: list[JobState] = field(default_factory=list)
    num_running: int = 0
    most_running: int = 0

    def run(self, context: WorkContext, lease: Lease) -> None:
        self.num_running += 1
        self.most_running = max(self.most_running, self.num_running)
        self.ran.append(lease.job_id)
        try:
            self.work(context, lease)
        finally:
            self.num_running -= 1

    def settle(self, session: Session, job: Job) -> None:
        self.settled.append(job.state)

    def of(self, kind: JobKind) -> TaskHandler:
        return self


def succeed(context: WorkContext, lease: Lease) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        assert jobs.finish(session, lease, JobState.SUCCEEDED)


def forget(context: WorkContext, lease: Lease) -> None:
    pass


def run_a_long_child(context: WorkContext, lease: Lease) -> None:
    context.settings.home.mkdir(parents=True, exist_ok=True)
    run_child(["sleep", "600"], context.settings.home, lease, context=context)
    succeed(context, lease)


@contextmanager
def working(context: WorkContext, task: Task) -> Iterator[WorkerProcess]:
    process = WorkerProcess(context, QueueName.IO, handlers=task.of)
    process.start()
    try:
        yield process
    finally:
        process.stop()


class TestOneJob:
    def test_a_task_does_its_job_under_a_kept_lease(self, context: WorkContext, submit: Submit, look: Look) -> None:
        job = submit()
        kept: list[bool] = []

        def work(context: WorkContext, lease: Lease) -> None:
            kept.append(context.keeper is not None)
            succeed(context, lease)

        task = Task(work)
        assert work_once(context, QueueName.IO, task.of)
        assert not work_once(context, QueueName.IO, task.of)
        assert look(job.id).state is JobState.SUCCEEDED
        assert kept == [True]
        assert task.settled == []

    def test_a_task_that_breaks_is_tried_again_and_at_last_given_up(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        def work(context: WorkContext, lease: Lease) -> None:
            raise RuntimeError("a bug")

        task = Task(work)
        retried, last = submit(), submit(max_attempts=1)
        assert work_once(context, QueueName.IO, task.of)
        assert work_once(context, QueueName.IO, task.of)
        assert look(retried.id).state is JobState.QUEUED
        given_up = look(last.id)
        assert given_up.state is JobState.FAILED
        assert given_up.error is not None
        assert given_up.error["code"] == "internal_error"
        assert "a bug" not in given_up.error["message"]
        assert task.settled == [JobState.FAILED]

    def test_a_task_that_forgets_to_finish_does_not_leave_the_job_running(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        job = submit()
        work_once(context, QueueName.IO, Task(forget).of)
        assert look(job.id).state is JobState.QUEUED

    def test_a_cancelled_child_ends_the_job_and_the_task_is_told(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        job = submit()

        def work(context: WorkContext, lease: Lease) -> None:
            with context.database.session(SYSTEM) as session:
                jobs.request_cancel(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
            run_a_long_child(context, lease)

        task = Task(work)
        work_once(context, QueueName.IO, task.of)
        assert look(job.id).state is JobState.CANCELLED
        assert task.settled == [JobState.CANCELLED]

    def test_a_paused_child_pauses_its_job(self, context: WorkContext, submit: Submit, look: Look) -> None:
        job = submit()

        def work(context: WorkContext, lease: Lease) -> None:
            with context.database.session(SYSTEM) as session:
                jobs.request_pause(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
            run_a_long_child(context, lease)

        task = Task(work)
        work_once(context, QueueName.IO, task.of)
        paused = look(job.id)
        assert (paused.state, paused.error, paused.blame) == (JobState.PAUSED, None, None)
        assert task.settled == []

    def test_one_that_may_cost_no_more_is_paused_and_says_why(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        job = submit(payload={"max_billable_s": 1.0})

        def work(context: WorkContext, lease: Lease) -> None:
            home = context.settings.home
            home.mkdir(parents=True)
            line = '{"type": "progress", "step": 1, "total_steps": 2, "billable_s": 1.5}'
            script = f"echo '{line}' >> {home}/events.jsonl; sleep 600"
            run_child(["sh", "-c", script], home, lease, context=context)

        work_once(context, QueueName.IO, Task(work).of)
        paused = look(job.id)
        assert (paused.state, paused.blame) == (JobState.PAUSED, Blame.BUDGET)
        assert paused.error is not None
        assert paused.error["code"] == "budget_reached"

    def test_a_missing_base_model_is_fetched_and_spends_no_attempt(
        self, context: WorkContext, submit: Submit, look: Look, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched: list[str] = []

        def fetch(context: WorkContext, lease: Lease, model_id: str) -> bool:
            fetched.append(model_id)
            return len(fetched) > 1

        monkeypatch.setattr("worker.app.fetch", fetch)

        def work(context: WorkContext, lease: Lease) -> None:
            if len(fetched) < 2:
                raise BaseModelMissing("smollm2")
            succeed(context, lease)

        job = submit(max_attempts=1)
        task = Task(work)
        assert not work_once(context, QueueName.IO, task.of), "it lets another worker try"
        given_back = look(job.id)
        assert (given_back.state, given_back.num_interruptions) == (JobState.QUEUED, 1)
        assert work_once(context, QueueName.IO, task.of)
        assert look(job.id).state is JobState.SUCCEEDED

    def test_the_end_of_a_job_waits_for_a_database_that_is_away(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        job = submit()
        flaky = Flaky(context.database)

        def work(context: WorkContext, lease: Lease) -> None:
            flaky.num_refusals = 3
            raise JobInterrupted(ChildResult(3, None, None, 0, ""))

        hurried = context.settings.model_copy(update={"heartbeat_s": 60})
        work_once(replace(context, settings=hurried, database=flaky), QueueName.IO, Task(work).of)  # type: ignore[arg-type]
        assert look(job.id).state is JobState.QUEUED


@dataclass
class Flaky:
    """A database that is away now and then."""

    database: Database
    num_refusals: int = 0

    @contextmanager
    def session(self, scope: Scope) -> Iterator[Session]:
        if self.num_refusals:
            self.num_refusals -= 1
            raise OperationalError("select", {}, Exception("connection refused"))
        with self.database.session(scope) as session:
            yield session


class TestProcess:
    def test_it_works_off_what_waits_at_its_start_one_at_a_time(
        self, context: WorkContext, submit: Submit, look: Look
    ) -> None:
        waiting = [submit() for _ in range(5)]
        task = Task(succeed)
        with working(context, task):
            eventually(lambda: all(look(job.id).state is JobState.SUCCEEDED for job in waiting))
        assert task.most_running == 1

    def test_doubled_doorbells_do_a_job_once(self, context: WorkContext, submit: Submit, look: Look) -> None:
        patient = replace(context, settings=context.settings.model_copy(update={"reconcile_interval_s": 600}))
        task = Task(succeed)
        bell = CeleryTaskQueue(context.settings)
        with working(patient, task):
            # the poll sleeps for ten minutes from here on: whatever is done, the bell did
            eventually(lambda: _is_registered(context.database))
            for n in range(2):
                job = submit()
                for _ in range(3):
                    bell.ring("io", job.id)
                eventually(lambda job=job: look(job.id).state is JobState.SUCCEEDED)
                assert len(task.ran) == n + 1

    def test_without_redis_the_poll_goes_on(self, context: WorkContext, submit: Submit, look: Look) -> None:
        nowhere = context.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
        with working(replace(context, settings=nowhere), Task(succeed)):
            for _ in range(2):
                job = submit()
                eventually(lambda job=job: look(job.id).state is JobState.SUCCEEDED)

    def test_told_to_stop_it_gives_its_job_back(
        self, context: WorkContext, submit: Submit, look: Look, database: Database
    ) -> None:
        job = submit(max_attempts=1)
        started = threading.Event()

        def work(context: WorkContext, lease: Lease) -> None:
            started.set()
            run_a_long_child(context, lease)

        with working(context, Task(work)):
            assert started.wait(10)
        given_back = look(job.id)
        assert (given_back.state, given_back.not_before) == (JobState.QUEUED, None)
        with database.session(SYSTEM) as session:
            (attempt,) = jobs.list_attempts(session, workspace_id=job.workspace_id, job_id=job.id)
            assert workers.list_workers(session) == []
        assert attempt.outcome is AttemptOutcome.INTERRUPTED


def _is_registered(database: Database) -> bool:
    with database.session(SYSTEM) as session:
        return bool(workers.list_workers(session))


def _env(settings: Settings) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "S3_ENDPOINT_URL": settings.s3_endpoint_url or "",
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id or "",
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key or "",
        "TAILORBIRD_HOME": str(settings.home),
    }


@pytest.mark.parametrize("queue_name", ["io", "cpu", "gpu"])
def test_the_program_registers_and_signs_off(
    settings: Settings, database: Database, tmp_path: Path, queue_name: str
) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, "-m", "worker", queue_name], env=_env(settings), stdout=output, stderr=output
        ) as process,
    ):
        eventually(lambda: _is_registered(database) or process.poll() is not None, timeout_s=30)
        with database.session(SYSTEM) as session:
            (worker,) = workers.list_workers(session)
        assert (worker.queue, worker.pid) == (queue_name, process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0, log.read_text()
    assert not _is_registered(database)
    assert "Traceback" not in log.read_text()


def test_the_worker_process_never_loads_torch() -> None:
    script = (
        "import sys, worker.__main__\n"
        "from core.jobs.kinds import JobKind\n"
        "from worker.tasks.registry import handler_of\n"
        "for kind in JobKind: handler_of(kind)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
