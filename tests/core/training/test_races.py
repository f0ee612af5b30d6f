"""Two at the same run in the same instant: the second sees all that the first did, and not half of it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from core.audit import service as audit
from core.db.session import SYSTEM, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError
from core.kit.pagination import PageRequest
from core.training import control, execution
from core.training import service as training
from core.training.types import RunTerms
from tests.core.training.test_runs import Runs, runs

__all__ = ["runs"]

pytestmark = pytest.mark.stack


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def wait_until_blocked(runs: Runs) -> None:
    """Until somebody waits for a row that another transaction holds."""
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        with runs.database.session(SYSTEM) as session:
            if session.scalar(text("select count(*) from pg_locks where not granted")):
                return
    raise AssertionError("nobody waits")


def in_the_middle(
    runs: Runs, threads: ThreadPoolExecutor, first: Callable[[Session], object], second: Callable[[], object]
) -> None:
    """`second` begins before `first` is committed, and has to wait for it."""
    with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
        first(session)
        waiting: Future[object] = threads.submit(second)
        wait_until_blocked(runs)
    waiting.result()


def test_who_cancels_while_the_worker_pauses_pays_for_what_was_used(runs: Runs, threads: ThreadPoolExecutor) -> None:
    run_id = runs.create(dataset_version_id=runs.version().id).run.id
    lease = runs.claim()

    def pause(session: Session) -> None:
        execution.note_used(session, lease, billable_s=3600)
        jobs.pause(session, lease)

    in_the_middle(runs, threads, pause, lambda: runs.cancel(run_id))
    details = runs.get(run_id)
    assert (details.job.state, details.run.seconds) == (JobState.CANCELLED, 3600)
    assert [entry.amount_micros for entry in runs.ledger()] == [details.run.price_micros_per_hour]
    assert details.run.cost_micros == details.run.price_micros_per_hour


def test_of_two_cancels_at_once_one_is_entered(runs: Runs, threads: ThreadPoolExecutor) -> None:
    run_id = runs.create(dataset_version_id=runs.version().id).run.id

    def cancel(session: Session) -> None:
        training.cancel(session, principal=runs.principal, run_id=run_id)

    in_the_middle(runs, threads, cancel, lambda: runs.cancel(run_id))
    with runs.database.session(SYSTEM) as session:
        found = audit.list_events(session, workspace_id=runs.principal.workspace_id, page=PageRequest(limit=100)).items
    assert [event.action for event in found].count("run.cancelled") == 1


def test_who_continues_while_the_worker_fails_pays_when_they_cancel(runs: Runs, threads: ThreadPoolExecutor) -> None:
    run_id = runs.create(dataset_version_id=runs.version().id).run.id
    lease = runs.claim()

    def fail(session: Session) -> None:
        execution.note_used(session, lease, billable_s=3600)
        jobs.finish(session, lease, JobState.FAILED, error=JobError(code="x", message="y"), blame=Blame.PLATFORM_ERROR)
        execution.end_free(session, workspace_id=lease.workspace_id, run_id=run_id)

    def resume() -> None:
        with runs.database.session(workspace_scope(lease.workspace_id)) as session:
            control.resume(session, principal=runs.principal, run_id=run_id)

    in_the_middle(runs, threads, fail, resume)
    resumed = runs.get(run_id)
    assert (resumed.job.state, resumed.run.cost_micros) == (JobState.QUEUED, None)
    assert runs.cancel(run_id).run.cost_micros == resumed.run.price_micros_per_hour


def test_a_limit_that_is_set_while_the_data_becomes_ready_holds(runs: Runs, threads: ThreadPoolExecutor) -> None:
    version_id = runs.version(status="validating").id
    run_id = runs.create(dataset_version_id=version_id, terms=RunTerms()).run.id

    def limit(session: Session) -> None:
        control.change(session, principal=runs.principal, run_id=run_id, changes={"max_cost_micros": 1000})

    in_the_middle(runs, threads, limit, lambda: runs.finish_version(version_id))
    assert runs.claim().payload["max_billable_s"] is not None
