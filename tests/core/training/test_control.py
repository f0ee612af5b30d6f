"""Steering runs: every state, twice each, and what is left behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.audit import service as audit
from core.db.session import SYSTEM, workspace_scope
from core.errors import AppError, Conflict, Invalid
from core.jobs import service as jobs
from core.jobs.failures import FAILURES
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError, Lease
from core.kit.pagination import PageRequest
from core.training import control, execution
from core.training.actions import actions_of
from core.training.failures import RunFailure, failure_of_run
from core.training.types import RunDetails, RunTerms
from core.usage import service as usage
from tests.core.training.test_runs import Runs, runs

__all__ = ["runs"]

pytestmark = pytest.mark.stack

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Desk:
    """One run and the service that steers it, each call a transaction of its own."""

    def __init__(self, runs: Runs, **terms: Any) -> None:  # noqa: ANN401 - the fields of RunTerms
        self.runs = runs
        self.version_id = runs.version().id
        self.id = self.create(**terms).run.id

    def create(self, **terms: Any) -> RunDetails:  # noqa: ANN401 - the fields of RunTerms
        return self.runs.create(dataset_version_id=self.version_id, terms=RunTerms(**terms))

    def do(self, work: Callable[..., RunDetails], **arguments: object) -> RunDetails:
        with self.runs.database.session(workspace_scope(self.runs.principal.workspace_id)) as session:
            return work(session, principal=self.runs.principal, **({"run_id": self.id} | arguments))

    def pause(self) -> RunDetails:
        return self.do(control.pause)

    def resume(self) -> RunDetails:
        return self.do(control.resume, queue=self.runs.queue)

    def change(self, **changes: object) -> RunDetails:
        return self.do(control.change, changes=changes)

    def clone(self, changes: dict[str, Any] | None = None, **terms: object) -> RunDetails:
        return self.do(
            control.clone,
            changes=changes or {},
            terms_changes=terms,
            settings=self.runs.settings,
            queue=self.runs.queue,
        )

    def worker(self, work: Callable[..., object], lease: Lease, **arguments: object) -> None:
        with self.runs.database.session(workspace_scope(lease.workspace_id)) as session:
            work(session, lease, **arguments)

    def fail(self, code: str, blame: Blame = Blame.PLATFORM_ERROR) -> None:
        failure = FAILURES[code]
        error = JobError(code=code, message=f"{failure.message} {failure.advice}")
        self.worker(jobs.finish, self.runs.claim(), state=JobState.FAILED, error=error, blame=blame)

    def reach_the_limit(self) -> None:
        error = JobError(code="budget_reached", message="The limit is reached.")
        self.worker(jobs.pause, self.runs.claim(), error=error, blame=Blame.BUDGET)

    @property
    def state(self) -> JobState:
        return self.runs.get(self.id).job.state

    @property
    def failure(self) -> RunFailure | None:
        return failure_of_run(self.runs.get(self.id))

    @property
    def actions(self) -> list[str]:
        return [action.value for action in actions_of(self.runs.get(self.id))]

    def audited(self) -> list[str]:
        with self.runs.database.session(SYSTEM) as session:
            page = PageRequest(limit=100)
            found = audit.list_events(session, workspace_id=self.runs.principal.workspace_id, page=page).items
        return [event.action for event in reversed(found) if event.action.startswith("run.")]


@pytest.fixture
def desk(runs: Runs) -> Desk:
    return Desk(runs)


class TestPause:
    def test_a_waiting_run_is_held_at_once_and_goes_on_when_told(self, desk: Desk) -> None:
        assert desk.actions == ["pause", "cancel", "clone", "move"]
        for _ in range(2):
            assert desk.pause().job.state is JobState.PAUSED
        assert desk.actions == ["resume", "cancel", "clone"]
        desk.runs.queue.rung.clear()
        for _ in range(2):
            assert desk.resume().job.state is JobState.QUEUED
        assert len(desk.runs.queue.rung) == 1
        assert desk.audited() == ["run.created", "run.paused", "run.resumed"]

    def test_a_running_one_is_asked_and_its_worker_holds_it(self, desk: Desk) -> None:
        lease = desk.runs.claim()
        for _ in range(2):
            paused = desk.pause().job
            assert (paused.state, paused.pause_requested_at is not None) == (JobState.RUNNING, True)
        assert desk.actions == ["cancel", "clone"]
        desk.worker(jobs.pause, lease)
        assert (desk.state, desk.failure) == (JobState.PAUSED, None)
        assert desk.audited() == ["run.created", "run.paused"]

    def test_a_pause_that_is_only_asked_for_can_be_taken_back(self, desk: Desk) -> None:
        desk.runs.claim()
        desk.pause()
        resumed = desk.resume().job
        assert (resumed.state, resumed.pause_requested_at) == (JobState.RUNNING, None)
        assert desk.audited() == ["run.created", "run.paused", "run.resumed"]

    def test_a_run_whose_data_is_checked_still_is_held_when_that_is_done(self, runs: Runs) -> None:
        version = runs.version(status="validating")
        desk = Desk(runs)
        desk.id = runs.create(dataset_version_id=version.id).run.id
        desk.pause()
        runs.finish_version(version.id)
        assert desk.state is JobState.PAUSED
        assert desk.runs.get(desk.id).run.spec is not None

    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_what_is_over_or_ending_is_refused_in_plain_words(self, desk: Desk, *, is_cancelled: bool) -> None:
        lease = desk.runs.claim()
        if is_cancelled:
            desk.runs.cancel(desk.id)
        else:
            desk.runs.succeed(lease)
        with pytest.raises(Conflict) as refused:
            desk.pause()
        assert refused.value.error_code == "job_state_conflict"
        assert ("being cancelled" if is_cancelled else "has succeeded already") in refused.value.message

    def test_a_start_that_was_asked_for_stays(self, runs: Runs) -> None:
        start = datetime(2090, 1, 1, tzinfo=UTC)
        desk = Desk(runs, start_after=start)
        assert desk.pause().job.not_before == start
        assert desk.resume().job.not_before == start


class TestResume:
    def test_a_failed_run_goes_on_after_the_error_and_pays_once(self, desk: Desk) -> None:
        desk.fail("worker_lost")
        with desk.runs.database.session(workspace_scope(desk.runs.principal.workspace_id)) as session:
            execution.end_free(session, workspace_id=desk.runs.principal.workspace_id, run_id=desk.id)
        assert "resume" in desk.actions
        resumed = desk.resume()
        assert (resumed.job.state, resumed.job.error, resumed.run.cost_micros) == (JobState.QUEUED, None, None)
        desk.runs.succeed(desk.runs.claim())
        assert [entry.source_id for entry in desk.runs.ledger()] == [desk.id]

    def test_a_run_that_never_began_has_nothing_to_continue(self, runs: Runs) -> None:
        version = runs.version(status="validating")
        desk = Desk(runs)
        desk.id = runs.create(dataset_version_id=version.id).run.id
        runs.finish_version(version.id, error={"code": "too_few_rows", "message": "3 rows."})
        assert desk.actions == ["clone"]
        with pytest.raises(Conflict, match="clone it"):
            desk.resume()

    def test_a_finished_or_cancelled_one_is_cloned_instead(self, desk: Desk) -> None:
        desk.runs.cancel(desk.id)
        with pytest.raises(Conflict, match="clone it"):
            desk.resume()


class TestLimit:
    def test_the_worker_is_told_how_long_the_limit_lasts(self, runs: Runs) -> None:
        with runs.database.session(SYSTEM) as session:
            per_hour = usage.price_at(session, hardware="cpu").micros_per_hour
        Desk(runs, max_cost_micros=per_hour // 2)
        assert runs.claim().payload["max_billable_s"] == pytest.approx(1800, abs=0.1)

    def test_at_the_limit_it_goes_on_only_with_a_higher_one(self, runs: Runs) -> None:
        desk = Desk(runs, max_cost_micros=100)
        desk.reach_the_limit()
        failure = desk.failure
        assert failure is not None
        assert (failure.failure_class, failure.is_ours) == ("budget", False)
        assert failure.fix is not None
        assert (failure.fix.action, failure.fix.changes) == ("continue", {"max_cost_usd": 0.0002})
        with pytest.raises(Conflict) as refused:
            desk.resume()
        assert refused.value.error_code == "budget_reached"
        desk.change(max_cost_micros=1000)
        assert desk.resume().job.state is JobState.QUEUED
        raised = runs.claim().payload["max_billable_s"]
        assert desk.runs.get(desk.id).job.blame is None
        assert raised == pytest.approx(
            10 * Desk(runs, max_cost_micros=100).runs.claim().payload["max_billable_s"], rel=0.01
        )

    def test_a_waiting_run_is_told_at_its_claim_and_one_without_limit_has_none(self, desk: Desk) -> None:
        desk.change(max_cost_micros=100)
        desk.change(max_cost_micros=None)
        assert desk.runs.claim().payload["max_billable_s"] is None

    def test_while_it_is_worked_on_the_limit_stands(self, desk: Desk) -> None:
        desk.runs.claim()
        with pytest.raises(Conflict) as refused:
            desk.change(max_cost_micros=100)
        assert refused.value.error_code == "run_is_running"


class TestClone:
    def test_only_what_was_named_differs(self, desk: Desk) -> None:
        original = desk.runs.get(desk.id).run
        made = desk.clone({"learning_rate_multiplier": 0.5})
        assert made.run.id != original.id
        assert made.run.cloned_from == original.id
        assert (made.run.seed, made.run.dataset_version_id) == (original.seed, original.dataset_version_id)
        assert original.spec is not None
        assert made.run.spec == original.spec | {"learning_rate": original.spec["learning_rate"] / 2}
        assert made.job.state is JobState.QUEUED
        assert desk.audited() == ["run.created", "run.cloned"]

    def test_it_keeps_priority_and_limit_but_not_the_start(self, runs: Runs) -> None:
        desk = Desk(runs, priority=7, max_cost_micros=500, start_after=datetime(2090, 1, 1, tzinfo=UTC))
        made = desk.clone()
        assert (made.job.priority, made.run.max_cost_micros, made.job.not_before) == (7, 500, None)
        assert desk.clone(priority=-3, max_cost_micros=None).job.priority == -3

    def test_a_failed_ones_clone_may_take_the_advice(self, desk: Desk) -> None:
        desk.fail("non_finite_loss", Blame.USER_ERROR)
        failure = desk.failure
        assert failure is not None
        assert failure.failure_class == "non_finite_loss"
        assert failure.advice
        assert failure.advice not in failure.message
        assert failure.fix is not None
        knobs = failure.fix.changes["method"]["supervised"]["hyperparameters"]
        again = desk.clone(knobs)
        desk.id = again.run.id
        desk.fail("non_finite_loss", Blame.USER_ERROR)
        assert desk.failure is not None
        assert desk.failure.fix is not None
        calmer = desk.failure.fix.changes["method"]["supervised"]["hyperparameters"]
        assert calmer["learning_rate_multiplier"] == pytest.approx(knobs["learning_rate_multiplier"] / 5)

    def test_what_cannot_be_planned_is_refused_and_leaves_nothing(self, desk: Desk) -> None:
        with pytest.raises(Invalid) as refused:
            desk.clone({"learning_rate_multiplier": 1e6})
        assert refused.value.error_code == "out_of_range"
        assert desk.audited() == ["run.created"]


class TestChange:
    def test_name_priority_and_start(self, desk: Desk) -> None:
        start = datetime(2090, 1, 1, tzinfo=UTC)
        changed = desk.change(name="Claims", priority=5, start_after=start)
        assert (changed.run.name, changed.job.priority, changed.job.not_before) == ("Claims", 5, start)
        desk.change(name="Claims", priority=5)
        assert desk.change(start_after=None).job.not_before is None
        assert desk.audited() == ["run.created", "run.changed", "run.changed"]

    @pytest.mark.parametrize(
        ("changes", "param"), [({"name": " "}, "name"), ({"name": "x" * 101}, "name"), ({"priority": 101}, "priority")]
    )
    def test_out_of_range(self, desk: Desk, changes: dict[str, Any], param: str) -> None:
        with pytest.raises(Invalid) as refused:
            desk.change(**changes)
        assert refused.value.param == param

    def test_a_run_that_has_begun_keeps_its_turn_but_may_be_renamed(self, desk: Desk) -> None:
        desk.runs.claim()
        assert desk.change(name="Later").run.name == "Later"
        with pytest.raises(Conflict, match="has begun"):
            desk.change(priority=1)


class TestMove:
    def order(self, desk: Desk) -> list[str]:
        workspace_id = desk.runs.principal.workspace_id
        with desk.runs.database.session(workspace_scope(workspace_id)) as session:
            waiting = control.list_waiting(session, workspace_id=workspace_id, limit=200).items
        assert [found.outlook.position for found in waiting if found.outlook] == list(range(1, len(waiting) + 1))
        return [found.run.id for found in waiting]

    def test_to_either_end_and_before_another(self, desk: Desk) -> None:
        first, second, third = desk.id, desk.create().run.id, desk.create().run.id
        assert self.order(desk) == [first, second, third]
        desk.do(control.move, run_id=third, to="front", before=None)
        assert self.order(desk) == [third, first, second]
        desk.do(control.move, run_id=third, to=None, before=second)
        assert self.order(desk) == [first, third, second]
        desk.do(control.move, run_id=first, to="back", before=None)
        assert self.order(desk) == [third, second, first]
        assert desk.runs.claim().payload["run_id"] == third
        assert desk.audited().count("run.moved") == 3

    @pytest.mark.parametrize("where", [{"to": None, "before": None}, {"to": "front", "before": "x"}])
    def test_it_needs_one_place(self, desk: Desk, where: dict[str, Any]) -> None:
        with pytest.raises(Invalid):
            desk.do(control.move, **where)

    def test_one_that_does_not_wait_has_no_place(self, desk: Desk) -> None:
        other = desk.create().run.id
        desk.runs.claim()
        with pytest.raises(Conflict, match="not waiting"):
            desk.do(control.move, to="front", before=None)
        with pytest.raises(AppError, match="not waiting"):
            desk.do(control.move, run_id=other, to=None, before=desk.id)


class TestHardware:
    @pytest.fixture
    def gpu(self, runs: Runs) -> None:
        with runs.database.session(SYSTEM) as session:
            session.execute(
                text(
                    "insert into workers (id, hostname, queue, pid, version, hardware, started_at, heartbeat_at) "
                    "values ('w1', 'h', 'gpu', 1, '1', 'gpu:h100', now(), now())"
                )
            )

    def test_a_run_is_planned_priced_and_queued_for_what_live_workers_offer(self, runs: Runs, gpu: None) -> None:
        plain = Desk(runs).runs
        made = plain.create(dataset_version_id=plain.version().id)
        assert (made.run.hardware, made.job.queue) == ("gpu:h100", "gpu")
        with runs.database.session(SYSTEM) as session:
            assert made.run.price_micros_per_hour == usage.price_at(session, hardware="gpu:h100").micros_per_hour

    def test_without_a_live_one_it_is_a_processor(self, runs: Runs, gpu: None) -> None:
        with runs.database.session(SYSTEM) as session:
            session.execute(text("update workers set heartbeat_at = :then"), {"then": LONG_AGO + timedelta(days=1)})
        assert runs.create(dataset_version_id=runs.version().id).job.queue == "cpu"

    def test_hardware_without_a_price_is_not_offered(self, runs: Runs, gpu: None) -> None:
        with runs.database.session(SYSTEM) as session:
            session.execute(text("update workers set hardware = 'gpu:abacus'"))
        assert runs.create(dataset_version_id=runs.version().id).run.hardware == "cpu"
