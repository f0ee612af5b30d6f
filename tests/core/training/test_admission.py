"""From ready data to the queue: one run that cannot be planned keeps no other from its turn."""

from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from core.datasets.models import DatasetVersion
from core.datasets.types import RowKind
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import Invalid
from core.jobs.states import JobState
from core.training import admission
from core.training.planning import Plan, plan_run
from tests.core.training.test_runs import Runs, runs
from tests.factories.training import make_file

__all__ = ["runs"]

pytestmark = pytest.mark.stack


@pytest.fixture
def waiting(runs: Runs) -> tuple[str, list[str]]:
    """A version that is being checked, and three runs that wait for it."""
    version = runs.version(status="validating")
    return version.id, [runs.create(dataset_version_id=version.id, name=name).run.id for name in ("one", "bad", "two")]


def break_the_bad_one(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def plan_or_break(request: Any, **arguments: Any) -> Plan:  # noqa: ANN401 - as plan_run has them
        if request.name == "bad":
            raise error
        return plan_run(request, **arguments)

    monkeypatch.setattr(admission, "plan_run", plan_or_break)


def test_a_mistake_of_ours_fails_the_one_run_and_is_ours(
    runs: Runs, waiting: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_bad_one(monkeypatch, ZeroDivisionError("no rows"))
    version_id, run_ids = waiting
    runs.finish_version(version_id)
    jobs = [runs.get(run_id).job for run_id in run_ids]
    assert [job.state for job in jobs] == [JobState.QUEUED, JobState.FAILED, JobState.QUEUED]
    assert jobs[1].error is not None
    assert (jobs[1].error["code"], jobs[1].blame) == ("internal_error", "platform_error")
    assert "no rows" not in jobs[1].error["message"]


def test_a_knob_that_the_data_does_not_allow_fails_the_one_run_and_is_named(
    runs: Runs, waiting: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_bad_one(monkeypatch, Invalid("Too much.", code="out_of_range", param="x"))
    version_id, run_ids = waiting
    runs.finish_version(version_id)
    job = runs.get(run_ids[1]).job
    assert job.error is not None
    assert (job.state, job.error["code"], job.error["param"], job.blame) == (
        JobState.FAILED,
        "out_of_range",
        "x",
        "user_error",
    )
    assert runs.get(run_ids[2]).job.state is JobState.QUEUED


def test_a_database_that_fails_fails_no_run(
    runs: Runs, waiting: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_the_bad_one(monkeypatch, OperationalError("select", {}, Exception("gone")))
    version_id, run_ids = waiting
    with pytest.raises(OperationalError):
        runs.finish_version(version_id)
    assert {runs.get(run_id).job.state for run_id in run_ids} == {JobState.VALIDATING}


def test_with_ready_data_a_knob_that_it_does_not_allow_is_refused_at_once(runs: Runs) -> None:
    with pytest.raises(Invalid) as refused:
        runs.create(dataset_version_id=runs.version().id, learning_rate_multiplier=1e6)
    assert refused.value.param == "method.supervised.hyperparameters.learning_rate_multiplier"
    assert runs.queue.rung == []


def test_data_that_turned_out_to_be_of_another_kind_fails_its_runs_with_the_method_that_fits(
    runs: Runs, database: Database
) -> None:
    version = runs.version(status="validating")
    waiting = runs.create(dataset_version_id=version.id).run.id
    with database.session(SYSTEM) as session:
        session.get_one(DatasetVersion, version.id).kind = RowKind.PREFERENCE
    runs.finish_version(version.id)
    job = runs.get(waiting).job
    assert job.error is not None
    assert (job.state, job.error["code"], job.blame) == (JobState.FAILED, "data_does_not_fit_method", "user_error")
    assert "'dpo' or 'orpo'" in job.error["message"]


def test_a_validation_file_of_another_kind_is_refused_at_once(runs: Runs, database: Database) -> None:
    with database.session(workspace_scope(runs.principal.workspace_id)) as session:
        file = make_file(session, runs.principal.workspace_id)
        file.inspection = file.inspection | {"kind": "text"}
    with pytest.raises(Invalid, match="plain text fits") as refused:
        runs.create(dataset_version_id=runs.version().id, validation_file=file.id)
    assert (refused.value.error_code, refused.value.param) == ("data_does_not_fit_method", "validation_file")
