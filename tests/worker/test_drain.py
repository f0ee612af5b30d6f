"""A drained worker claims no more, and lives on; with real children, heartbeats, and a token that is revoked."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy.orm import Session

from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, JobState
from core.jobs.types import Lease
from core.workers import service as workers
from core.workers.models import Worker
from tests.factories.waiting import eventually
from worker.app import WorkerProcess
from worker.context import WorkContext
from worker.supervise import run_child
from worker.tasks.registry import TaskHandler

pytestmark = [
    pytest.mark.stack,
    pytest.mark.filterwarnings("ignore::celery.exceptions.SecurityWarning"),
]

Submit = Callable[..., Job]
Look = Callable[[str], Job]


@dataclass
class UntilTold:
    """A task whose child works until it is ended, or the test lets it finish."""

    started: threading.Event = field(default_factory=threading.Event)
    finish: threading.Event = field(default_factory=threading.Event)
    ran: list[str] = field(default_factory=list)

    def run(self, context: WorkContext, lease: Lease) -> None:
        folder = context.settings.home / lease.job_id
        folder.mkdir(parents=True, exist_ok=True)
        self.ran.append(lease.job_id)
        self.started.set()
        if not self.finish.is_set():
            script = f"while [ ! -e {folder}/finish ]; do sleep 0.05; done"
            watch = threading.Thread(target=lambda: self.finish.wait(60) and (folder / "finish").touch(), daemon=True)
            watch.start()
            run_child(["sh", "-c", script], folder, lease, context=context)
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            assert jobs.finish(session, lease, JobState.SUCCEEDED)

    def settle(self, session: Session, job: Job) -> None:
        pass

    def of(self, kind: JobKind) -> TaskHandler:
        return self


@contextmanager
def working(context: WorkContext, task: UntilTold) -> Iterator[WorkerProcess]:
    process = WorkerProcess(context, QueueName.IO, handlers=task.of)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def the_worker(database: Database) -> Worker | None:
    with database.session(SYSTEM) as session:
        found = workers.list_workers(session)
    return found[0] if found else None


def order(database: Database, function: Callable[..., object], **arguments: object) -> None:
    with database.session(SYSTEM) as session:
        function(session, worker_id="w1", **arguments)


class TestDrain:
    def test_finish_lets_the_job_at_hand_end_and_claims_no_other_until_taken_back(
        self, context: WorkContext, submit: Submit, look: Look, database: Database
    ) -> None:
        task = UntilTold()
        first = submit()
        with working(context, task) as process:
            eventually(task.started.is_set)
            order(database, workers.drain, mode="finish")
            second = submit()
            task.finish.set()
            eventually(lambda: look(first.id).state is JobState.SUCCEEDED)
            eventually(lambda: (found := the_worker(database)) is not None and found.num_jobs_done == 1)
            process.wake()
            eventually(lambda: (found := the_worker(database)) is not None and found.job_id is None)
            assert look(second.id).state is JobState.QUEUED
            order(database, workers.undrain)
            eventually(lambda: look(second.id).state is JobState.SUCCEEDED)

    def test_now_hands_the_job_back_at_no_cost(
        self, context: WorkContext, submit: Submit, look: Look, database: Database
    ) -> None:
        task = UntilTold()
        job = submit(max_attempts=1)
        with working(context, task):
            eventually(task.started.is_set)
            order(database, workers.drain, mode="now")
            eventually(lambda: look(job.id).state is JobState.QUEUED)
            with database.session(SYSTEM) as session:
                (attempt,) = jobs.list_attempts(session, workspace_id=job.workspace_id, job_id=job.id)
            assert attempt.outcome is AttemptOutcome.INTERRUPTED
            task.finish.set()
            order(database, workers.undrain)
            eventually(lambda: look(job.id).state is JobState.SUCCEEDED)
        assert task.ran == [job.id, job.id]


class TestToken:
    def test_a_worker_without_one_does_nothing_in_production(
        self, context: WorkContext, submit: Submit, look: Look, database: Database
    ) -> None:
        strict = replace(context, settings=context.settings.model_copy(update={"mode": "production"}))
        task = UntilTold()
        task.finish.set()
        job = submit()
        with working(strict, task) as process:
            process.wake()
            eventually(strict.draining_now.is_set)
            assert the_worker(database) is None
            assert look(job.id).state is JobState.QUEUED
        assert task.ran == []

    def test_one_that_is_revoked_hands_back_and_claims_no_more(
        self, context: WorkContext, submit: Submit, look: Look, database: Database
    ) -> None:
        with database.session(SYSTEM) as session:
            token, secret = workers.create_token(session, name="cellar", created_by=None)
        joined = replace(context, settings=context.settings.model_copy(update={"worker_token": secret}))
        task = UntilTold()
        job = submit()
        with working(joined, task):
            eventually(task.started.is_set)
            with database.session(SYSTEM) as session:
                workers.revoke_token(session, token_id=token.id)
            eventually(lambda: look(job.id).state is JobState.QUEUED)
            eventually(lambda: (found := the_worker(database)) is not None and found.job_id is None)
        assert task.ran == [job.id]


def test_what_a_worker_does_can_be_seen(context: WorkContext, submit: Submit, database: Database) -> None:
    task = UntilTold()
    slow_to_tell = replace(context, settings=context.settings.model_copy(update={"heartbeat_s": 5}))
    job = submit()
    with working(slow_to_tell, task):
        eventually(task.started.is_set)
        # well before its next regular heartbeat
        eventually(lambda: (found := the_worker(database)) is not None and found.job_id == job.id, timeout_s=4)
        found = the_worker(database)
        assert found is not None
        assert (found.hardware, found.devices) == ("cpu", [])
        assert found.memory_bytes
        assert found.used_memory_bytes
        task.finish.set()
