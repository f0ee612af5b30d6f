"""Workers while Valkey or Postgres hang, vanish and come back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.backends.queue import CeleryTaskQueue
from core.config import Settings
from core.db.connection import answer_within
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease
from tests.factories.proxied import proxied
from tests.factories.waiting import eventually
from worker.app import WorkerProcess
from worker.context import WorkContext
from worker.supervise import ChildResult
from worker.tasks.registry import TaskHandler

pytestmark = [
    pytest.mark.stack,
    pytest.mark.filterwarnings("ignore::celery.exceptions.SecurityWarning"),
]


@dataclass
class Quick:
    """A task that is done at once."""

    ran: list[str] = field(default_factory=list)

    def run(self, context: WorkContext, lease: Lease) -> None:
        self.ran.append(lease.job_id)
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.SUCCEEDED)

    def settle(self, session: Session, job: Job) -> None:
        pass

    def of(self, kind: JobKind) -> TaskHandler:
        return self


@pytest.mark.parametrize("fault", ["hangs", "is gone"])
def test_a_worker_hears_the_bell_again_after_valkey(
    fault: str, context: WorkContext, settings: Settings, submit: Callable[..., Job]
) -> None:
    task = Quick()
    bell = CeleryTaskQueue(settings)

    def is_heard() -> bool:
        job = submit()
        bell.ring("io", job.id)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and job.id not in task.ran:
            time.sleep(0.02)
        return job.id in task.ran

    with proxied(settings) as (proxy, through):
        # the poll sleeps for ten minutes: whatever is done, the bell did
        patient = through.model_copy(update={"reconcile_interval_s": 600, "heartbeat_s": 5})
        process = WorkerProcess(replace(context, settings=patient), QueueName.IO, handlers=task.of)
        process.start()
        try:
            eventually(is_heard, timeout_s=30)
            if fault == "hangs":
                proxy.faults.black_hole = True
                eventually(lambda: not is_heard())
                # nobody resets the connections that were swallowed
                proxy.faults.black_hole = False
            else:
                proxy.refuse()
                eventually(lambda: not is_heard())
                proxy.heal()
            eventually(is_heard, timeout_s=60)
        finally:
            process.stop()


class TestDatabase:
    def test_one_that_hangs_is_given_up_in_time_and_found_again(self, settings: Settings, database: Database) -> None:
        with proxied(settings, "database_url") as (proxy, through):
            away = Database(through.database_url)
            with away.session(SYSTEM) as session:
                session.scalar(text("select 1"))
            proxy.faults.black_hole = True
            started_at = time.monotonic()
            with pytest.raises(OperationalError), answer_within(0.3), away.session(SYSTEM) as session:
                session.scalar(text("select 1"))
            assert time.monotonic() - started_at < 8, "0.3 s of patience, and 5 s for a connection"
            proxy.heal()
            with away.session(SYSTEM) as session:
                assert session.scalar(text("select 1")) == 1
            away.dispose()

    def test_one_that_hangs_in_the_middle_is_given_up_too(self, settings: Settings, database: Database) -> None:
        with proxied(settings, "database_url") as (proxy, through):
            away = Database(through.database_url)
            started_at = time.monotonic()
            with pytest.raises(OperationalError, match="did not answer"), away.session(SYSTEM) as session:
                session.scalar(text("select 1"))
                proxy.faults.black_hole = True
                with answer_within(0.3):
                    session.scalar(text("select 1"))
            assert time.monotonic() - started_at < 5
            away.dispose()

    def test_a_short_hang_costs_a_running_job_nothing(
        self, context: WorkContext, run: Callable[..., ChildResult], settings: Settings
    ) -> None:
        with proxied(settings, "database_url") as (proxy, through):
            away = Database(through.database_url)
            leased = through.model_copy(update={"lease_s": 12, "heartbeat_s": 0.2})

            def hang(line: dict[str, object]) -> None:
                if line["type"] == "stage":
                    proxy.faults.black_hole = True
                    threading.Timer(2, proxy.heal).start()

            script = """
say(type="stage", stage="ready")
for _ in range(50):
    say(type="alive"); time.sleep(0.1)
"""
            result = run(script, context=replace(context, settings=leased, database=away), on_event=hang)
            assert result.exit_code == 0
            away.dispose()
