"""Stored checkpoints of a run, and what it pays when it ends in pieces."""

import pytest
from sqlalchemy import text

from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import AttemptOutcome, JobState
from core.jobs.types import Lease
from core.training import billing, execution
from core.training import service as training
from core.training.checkpoints import service as checkpoints
from core.training.checkpoints.service import StoredCheckpoint
from core.training.execution import Fenced
from core.training.request import RunRequest
from core.usage.models import LedgerEntry
from core.workspaces.principal import Principal
from tests.factories.training import make_version, put_base_model_on_disk

pytestmark = pytest.mark.stack


class Started:
    """A run that a worker holds."""

    def __init__(self, database: Database, principal: Principal, settings: Settings) -> None:
        self.database, self.principal = database, principal
        self.workspace_id = principal.workspace_id
        with database.session(workspace_scope(self.workspace_id)) as session:
            version = make_version(session, self.workspace_id, with_rows=True)
            request = RunRequest(model=put_base_model_on_disk(settings), dataset_version_id=version.id)
            made = training.create(session, principal=principal, request=request, settings=settings, queue=None)
        self.run_id = made.run.id
        self.lease = self.claim()

    def claim(self) -> Lease:
        with self.database.session(SYSTEM) as session:
            session.execute(text("update jobs set not_before = null"))
            lease = jobs.claim(session, queue_name="cpu", worker_id="w", lease_s=60)
        assert lease is not None
        return lease

    def store(self, step: int, lease: Lease | None = None) -> list[str]:
        lease = lease or self.lease
        prefix = checkpoints.key_prefix(lease, self.run_id, f"step-{step:08d}")
        stored = StoredCheckpoint(lease.attempt, step, prefix, "d" * 64, 100)
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            return checkpoints.record(session, lease, run_id=self.run_id, checkpoint=stored)

    def stored(self, workspace_id: str | None = None) -> list[tuple[int, int]]:
        scope = workspace_id or self.workspace_id
        with self.database.session(workspace_scope(scope)) as session:
            found = checkpoints.stored(session, workspace_id=scope, run_id=self.run_id)
        return [(one.attempt, one.step) for one in found]

    def requeue(self, outcome: AttemptOutcome = AttemptOutcome.RETRIED) -> None:
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            jobs.requeue(session, self.lease, outcome=outcome)

    def ledger(self) -> list[LedgerEntry]:
        with self.database.session(SYSTEM) as session:
            return list(session.query(LedgerEntry))

    def cancel(self) -> JobState:
        with self.database.session(workspace_scope(self.workspace_id)) as session:
            return training.cancel(session, principal=self.principal, run_id=self.run_id).job.state


@pytest.fixture
def started(database: Database, principal: Principal, settings: Settings) -> Started:
    return Started(database, principal, settings)


class TestStored:
    def test_the_two_newest_are_kept_and_the_others_named(self, started: Started) -> None:
        assert [started.store(step) for step in (5, 10)] == [[], []]
        assert started.store(15) == [checkpoints.key_prefix(started.lease, started.run_id, "step-00000005")]
        assert started.stored() == [(1, 15), (1, 10)]

    def test_those_of_the_last_attempt_go_before_those_of_earlier_ones(self, started: Started) -> None:
        for step in (5, 10):
            started.store(step)
        started.requeue()
        started.store(6, started.claim())
        assert started.stored() == [(2, 6), (1, 10)]

    def test_the_same_one_twice_is_one(self, started: Started) -> None:
        for _ in range(2):
            assert started.store(5) == []
        assert started.stored() == [(1, 5)]

    def test_a_worker_that_lost_its_lease_enters_nothing(self, started: Started) -> None:
        started.requeue()
        with pytest.raises(Fenced):
            started.store(5)
        assert started.stored() == []

    def test_another_workspace_sees_none(self, started: Started, other_workspace_id: str) -> None:
        started.store(5)
        assert started.stored(other_workspace_id) == []


class TestSweep:
    def sweep(self, started: Started) -> list[checkpoints.EndedRun]:
        with started.database.session(SYSTEM) as session:
            return checkpoints.sweep(session, since_s=3600)

    def test_a_run_that_goes_on_is_left_alone(self, started: Started) -> None:
        started.store(5)
        assert self.sweep(started) == []
        started.requeue()
        assert self.sweep(started) == []
        assert started.stored() == [(1, 5)]

    def test_of_a_cancelled_run_nothing_is_kept(self, started: Started) -> None:
        started.store(5)
        started.requeue()
        assert started.cancel() is JobState.CANCELLED
        [ended] = self.sweep(started)
        assert (ended.run_id, ended.is_done, ended.last_attempt, ended.kept_prefixes) == (started.run_id, True, 1, ())
        assert started.stored() == []

    def test_a_failed_run_keeps_its_checkpoints_for_a_month(self, started: Started) -> None:
        started.store(5)
        with started.database.session(workspace_scope(started.workspace_id)) as session:
            jobs.finish(session, started.lease, JobState.FAILED)
        [ended] = self.sweep(started)
        assert ended.kept_prefixes == (checkpoints.key_prefix(started.lease, started.run_id, "step-00000005"),)
        assert not ended.is_done
        with started.database.session(SYSTEM) as session:
            session.execute(text("update jobs set finished_at = now() - interval '31 days' where state = 'failed'"))
        assert self.sweep(started) == []
        assert started.stored() == []


class TestPay:
    def test_a_run_cancelled_while_it_waits_pays_for_what_it_had_used(self, started: Started) -> None:
        with started.database.session(workspace_scope(started.workspace_id)) as session:
            execution.note_used(session, started.lease, billable_s=1800)
            jobs.pause(session, started.lease)
        assert started.cancel() is JobState.CANCELLED
        assert started.cancel() is JobState.CANCELLED
        [entry] = started.ledger()
        assert (entry.seconds, entry.source_id) == (1800, started.run_id)

    def test_a_run_cancelled_before_it_began_pays_nothing(self, started: Started) -> None:
        started.requeue(AttemptOutcome.INTERRUPTED)
        assert started.cancel() is JobState.CANCELLED
        assert started.ledger() == []

    def test_a_worker_that_lost_its_lease_changes_no_bill(self, started: Started) -> None:
        started.requeue()
        with (
            pytest.raises(Fenced),
            started.database.session(workspace_scope(started.workspace_id)) as session,
        ):
            execution.note_used(session, started.lease, billable_s=1800)
        assert started.cancel() is JobState.CANCELLED
        assert started.ledger() == []


@pytest.mark.parametrize("reported", [None, "3", True, float("nan"), float("inf"), -1, [1]])
def test_what_is_no_duration_is_billed_as_none(reported: object) -> None:
    assert billing.seconds_of(reported) == 0.0
