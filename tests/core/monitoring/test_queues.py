"""A queue is stuck when what is due is not taken although it could be, and never because all are at work."""

from collections.abc import Callable

import pytest

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.models import Job
from core.jobs.types import Lease
from core.monitoring import queues
from core.monitoring.queues import is_stuck, longest_claimable_wait_s
from core.monitoring.types import QueueState, QueueView, Share, Staff

STUCK_S = 300
LONG_UP_S = 10_000


class TestTheDefinition:
    @pytest.mark.parametrize(
        ("what", "wait_s", "staff", "was_claimed", "expected"),
        [
            ("nothing waits", None, Staff(1, 1, 0, 1, 9000), False, False),
            ("a short wait beside an idle worker", 10, Staff(1, 1, 0, 1, 9000), False, False),
            ("a long wait beside an idle worker", 301, Staff(1, 1, 0, 1, 9000), False, True),
            ("a long wait while all are at work", 9000, Staff(2, 2, 2, 0, 9000), False, False),
            ("a long wait and nobody there", 301, Staff(), False, True),
            ("all who are there are draining", 301, Staff(1, 0, 1, 0, 9000), False, True),
            ("one is draining, one at work", 301, Staff(2, 1, 2, 0, 9000), False, False),
            ("the worker has only just joined", 9000, Staff(1, 1, 0, 1, 5), False, False),
            ("one just joined, beside old ones", 9000, Staff(2, 2, 1, 1, 5), False, False),
            ("between two jobs a worker is idle for a moment", 9000, Staff(1, 1, 0, 1, 9000), True, False),
        ],
    )
    def test_it_holds(
        self, what: str, wait_s: float | None, staff: Staff, *, was_claimed: bool, expected: bool
    ) -> None:
        assert is_stuck(wait_s, staff, was_claimed=was_claimed, stuck_s=STUCK_S) is expected, what

    @pytest.mark.parametrize(
        ("num_running", "own_limit", "default_limit", "expected"),
        [(0, None, 0, 400), (5, None, 0, 400), (1, 1, 0, None), (0, 0, 0, None), (1, None, 1, None), (1, 2, 1, 400)],
    )
    def test_what_a_limit_holds_back_waits_rightly(
        self, num_running: int, own_limit: int | None, default_limit: int, expected: float | None
    ) -> None:
        share = Share(QueueName.IO, "ws_1", "Acme", 1, 0, num_running, own_limit, 400)
        settings = Settings(max_running_per_workspace=default_limit)
        assert longest_claimable_wait_s([share], settings=settings) == expected


@pytest.mark.stack
class TestInTheDatabase:
    def test_an_old_job_beside_an_idle_worker_is_told(
        self, database: Database, settings: Settings, submit: Callable[..., Job], join: Callable[..., str]
    ) -> None:
        join(age_s=1000)
        submit(age_s=100)
        assert _stuck(database, settings) == []
        submit(age_s=400)
        assert _stuck(database, settings) == [QueueName.IO]
        assert _state(database, settings) is QueueState.STUCK

    def test_a_claim_says_that_it_moves(
        self,
        database: Database,
        settings: Settings,
        submit: Callable[..., Job],
        join: Callable[..., str],
        claim: Callable[..., Lease],
        execute: Callable[..., None],
    ) -> None:
        join(age_s=1000)
        join("w2", age_s=1000)
        submit(age_s=500)
        submit(age_s=400)
        claim(worker_id="w2")
        assert _stuck(database, settings) == []
        execute("update job_attempts set created_at = now() - interval '400 seconds'")
        assert _stuck(database, settings) == [QueueName.IO]

    def test_the_limit_of_a_workspace_is_no_fault_of_the_queue(
        self,
        database: Database,
        settings: Settings,
        workspace_id: str,
        submit: Callable[..., Job],
        join: Callable[..., str],
        claim: Callable[..., Lease],
        execute: Callable[..., None],
    ) -> None:
        join(age_s=1000)
        join("w2", age_s=1000)
        submit(age_s=5000)
        claim(worker_id="w2")
        submit(age_s=4000)
        execute("update job_attempts set created_at = now() - interval '4000 seconds'")
        assert _stuck(database, settings) == [QueueName.IO]
        with database.session(SYSTEM) as session:
            jobs.set_max_running(session, queue_name="io", workspace_id=workspace_id, max_running=1)
        assert _stuck(database, settings) == []

    def test_what_is_to_wait_or_is_being_cancelled_is_not_due(
        self,
        database: Database,
        settings: Settings,
        submit: Callable[..., Job],
        join: Callable[..., str],
        execute: Callable[..., None],
    ) -> None:
        join(age_s=1000)
        later, leaving = submit(age_s=900), submit(age_s=900)
        execute("update jobs set not_before = now() + interval '1 hour' where id = :id", id=later.id)
        execute("update jobs set cancel_requested_at = now() where id = :id", id=leaving.id)
        assert _stuck(database, settings) == []
        view = _view(database, settings)
        assert (view.num_waiting, view.num_scheduled, view.oldest_wait_s) == (0, 1, None)
        execute("update jobs set not_before = now() - interval '10 seconds' where id = :id", id=later.id)
        assert _stuck(database, settings) == []
        assert _view(database, settings).oldest_wait_s == pytest.approx(10, abs=5)

    def test_a_process_that_has_only_just_started_blames_nobody(
        self, database: Database, settings: Settings, submit: Callable[..., Job]
    ) -> None:
        """After a night off the jobs are old, and workers come up after the api."""
        submit(age_s=30_000)
        assert _stuck(database, settings, up_s=5) == []
        assert _stuck(database, settings) == [QueueName.IO]

    def test_a_worker_that_fell_silent_serves_nobody(
        self, database: Database, settings: Settings, submit: Callable[..., Job], join: Callable[..., str]
    ) -> None:
        join(age_s=1000)
        assert _state(database, settings) is QueueState.OK
        join(age_s=1000, silent_s=70)
        submit(age_s=400)
        assert _view(database, settings).staff.num_live == 0
        assert _stuck(database, settings) == [QueueName.IO]

    def test_others_are_told_apart(
        self,
        database: Database,
        settings: Settings,
        submit: Callable[..., Job],
        join: Callable[..., str],
        claim: Callable[..., Lease],
    ) -> None:
        assert _state(database, settings) is QueueState.NO_WORKER
        join(age_s=1000)
        submit(age_s=20)
        submit(age_s=10)
        claim()
        assert _state(database, settings) is QueueState.BUSY

    def test_each_workspaces_part_is_shown(
        self,
        database: Database,
        settings: Settings,
        workspace_id: str,
        other_workspace_id: str,
        submit: Callable[..., Job],
        join: Callable[..., str],
        claim: Callable[..., Lease],
    ) -> None:
        join(age_s=1000)
        for workspace in (workspace_id, workspace_id, other_workspace_id):
            submit(workspace_id=workspace, age_s=30)
        lease = claim()
        with database.session(SYSTEM) as session:
            jobs.set_max_running(session, queue_name="io", workspace_id=other_workspace_id, max_running=3)
        view = _view(database, settings)
        assert (view.num_waiting, view.num_running, view.staff.num_busy) == (2, 1, 1)
        assert (view.pace.num_claimed, view.pace.num_finished) == (1, 0)
        assert view.pace.median_wait_s == pytest.approx(30, abs=5)
        by_workspace = {share.workspace_id: share for share in view.shares}
        assert by_workspace[lease.workspace_id].num_running == 1
        assert by_workspace[other_workspace_id].max_running == 3
        assert {share.workspace_name for share in view.shares} == {"Acme", "Rival"}


def _stuck(database: Database, settings: Settings, *, up_s: float = LONG_UP_S) -> list[QueueName]:
    with database.session(SYSTEM) as session:
        return queues.stuck_queues(session, settings=settings, up_s=up_s)


def _view(database: Database, settings: Settings) -> QueueView:
    with database.session(SYSTEM) as session:
        return queues.get_queue(session, queue=QueueName.IO, settings=settings)


def _state(database: Database, settings: Settings) -> QueueState:
    return _view(database, settings).state
