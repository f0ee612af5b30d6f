"""Every way in which a run ends is told to the workspace's webhooks: with the end, and once."""

from collections.abc import Callable

import pytest

from core.datasets.types import VersionStatus
from core.db.session import SYSTEM, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError
from core.monitoring import actions
from core.training import control, execution
from core.training.execution import Fenced
from core.webhooks.types import EventType
from tests.core.training.test_runs import PUBLISHED, RESULTS, Runs, runs
from tests.core.webhooks.conftest import Outbox, outbox

__all__ = ["outbox", "runs"]

pytestmark = pytest.mark.stack


@pytest.fixture
def told(outbox: Outbox) -> Callable[[], list[str]]:
    """The events so far, each with what it is about."""
    outbox.endpoint(*EventType)
    return lambda: [
        f"{one.event_type.value.removeprefix('fine_tuning.job.')} {one.occurrence}" for one in outbox.deliveries()
    ]


def ready_run(runs: Runs) -> str:
    return runs.create(dataset_version_id=runs.version().id).run.id


def fail(runs: Runs) -> str:
    """As the worker enters it; the run."""
    lease = runs.claim()
    run_id = str(lease.payload["run_id"])
    with runs.database.session(workspace_scope(lease.workspace_id)) as session:
        error = JobError(code="internal_error", message="It broke.")
        jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.PLATFORM_ERROR)
        for _ in range(2):
            execution.end_free(session, workspace_id=lease.workspace_id, run_id=run_id)
    return run_id


def test_success_is_told(runs: Runs, told: Callable[[], list[str]]) -> None:
    run_id = ready_run(runs)
    assert told() == []
    runs.succeed(runs.claim())
    assert told() == [f"succeeded {run_id}/1"]


def test_a_success_that_came_too_late_is_not_told(runs: Runs, told: Callable[[], list[str]]) -> None:
    ready_run(runs)
    lease = runs.claim()
    with runs.database.session(SYSTEM) as session:
        jobs.kill(session, job_id=lease.job_id)
    with pytest.raises(Fenced), runs.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.succeed(session, lease, published=PUBLISHED, results=RESULTS | {"billable_s": 1})
    assert told() == []


def test_a_cancel_is_told_when_it_is_done_and_not_when_it_is_asked_for(
    runs: Runs, told: Callable[[], list[str]]
) -> None:
    run_id = ready_run(runs)
    lease = runs.claim()
    runs.cancel(run_id)
    assert told() == []
    with runs.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.cancelled(session, lease, billable_s=1)
    assert told() == [f"cancelled {run_id}/1"]


@pytest.mark.parametrize("state", ["queued", "validating", "paused"])
def test_a_cancel_of_what_waits_is_told_once_however_often_it_is_asked(
    runs: Runs, told: Callable[[], list[str]], state: str
) -> None:
    version = runs.version(status=VersionStatus.VALIDATING) if state == "validating" else runs.version()
    run_id = runs.create(dataset_version_id=version.id).run.id
    if state == "paused":
        with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
            control.pause(session, principal=runs.principal, run_id=run_id)
    assert runs.get(run_id).job.state == state
    for _ in range(2):
        runs.cancel(run_id)
    assert told() == [f"cancelled {run_id}/0"]


def test_a_cancel_by_who_runs_the_installation_is_told(runs: Runs, told: Callable[[], list[str]]) -> None:
    run_id = ready_run(runs)
    with runs.database.session(SYSTEM) as session:
        actions.cancel(session, principal=runs.principal, job_id=runs.get(run_id).job.id)
    assert told() == [f"cancelled {run_id}/0"]


def test_a_failure_is_told_and_again_when_it_was_taken_up_and_failed_anew(
    runs: Runs, told: Callable[[], list[str]]
) -> None:
    ready_run(runs)
    run_id = fail(runs)
    with runs.database.session(workspace_scope(runs.principal.workspace_id)) as session:
        control.resume(session, principal=runs.principal, run_id=run_id)
    assert fail(runs) == run_id
    assert told() == [f"failed {run_id}/1", f"failed {run_id}/2"]


def test_data_that_is_no_good_is_told_as_the_failure_of_each_run(runs: Runs, told: Callable[[], list[str]]) -> None:
    version = runs.version(status=VersionStatus.VALIDATING)
    run_ids = [runs.create(dataset_version_id=version.id).run.id for _ in range(2)]
    runs.finish_version(version.id, error={"code": "no_rows", "message": "There is no row in it."})
    assert sorted(told()) == sorted(f"failed {run_id}/0" for run_id in run_ids)


def test_without_a_webhook_nothing_is_kept(runs: Runs, outbox: Outbox) -> None:
    ready_run(runs)
    runs.succeed(runs.claim())
    assert outbox.deliveries() == []
