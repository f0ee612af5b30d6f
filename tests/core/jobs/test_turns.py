"""Whose turn it is: fair between workspaces, by the work that each was given."""

from collections import Counter
from collections.abc import Callable

import pytest

from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease

pytestmark = pytest.mark.stack

Submit = Callable[..., Job]
Claim = Callable[..., Lease | None]


@pytest.fixture
def work(database: Database, claim: Claim) -> Callable[..., list[str]]:
    """Claim and finish jobs one after the other; their workspaces in order."""

    def _work(turns: int) -> list[str]:
        order = []
        for _ in range(turns):
            lease = claim()
            assert lease is not None
            order.append(lease.workspace_id)
            with database.session(SYSTEM) as session:
                jobs.finish(session, lease, JobState.SUCCEEDED)
        return order

    return _work


def test_a_workspace_that_queued_much_first_does_not_keep_the_others_waiting(
    submit: Submit, work: Callable[[int], list[str]], workspace_id: str, other_workspace_id: str
) -> None:
    for _ in range(10):
        submit()
    for _ in range(3):
        submit(workspace_id=other_workspace_id)
    # three of six on an idle machine; a turn that a busy one made long counts for more
    assert Counter(work(6))[other_workspace_id] >= 2


def test_a_turn_counts_for_the_time_it_takes(
    submit: Submit, claim: Claim, database: Database, change: Callable[[str, str], None], workspace_id: str,
    other_workspace_id: str,
) -> None:  # fmt: skip
    for _ in range(8):
        submit(workspace_id=other_workspace_id, estimated_s=100)
        submit(estimated_s=300)
    order = []
    for _ in range(8):
        lease = claim()
        assert lease is not None
        order.append(lease.workspace_id)
        took_s = 300 if lease.workspace_id == workspace_id else 100
        with database.session(SYSTEM) as session:
            session.connection().exec_driver_sql(
                "update job_attempts set created_at = now() - make_interval(secs => %s) where job_id = %s",
                (took_s, lease.job_id),
            )
            jobs.finish(session, lease, JobState.SUCCEEDED)
    assert Counter(order) == {workspace_id: 2, other_workspace_id: 6}


def test_what_took_longer_than_expected_is_paid_for_afterwards(
    submit: Submit, claim: Claim, database: Database, workspace_id: str, other_workspace_id: str
) -> None:
    for _ in range(4):
        submit(estimated_s=10)
    for _ in range(4):
        submit(workspace_id=other_workspace_id, estimated_s=10)
    lease = claim()
    assert lease is not None
    assert lease.workspace_id == workspace_id
    with database.session(SYSTEM) as session:
        session.connection().exec_driver_sql(
            "update job_attempts set created_at = now() - interval '60 seconds' where job_id = %s", (lease.job_id,)
        )
        jobs.finish(session, lease, JobState.SUCCEEDED)
    order = []
    for _ in range(4):
        lease = claim()
        assert lease is not None
        order.append(lease.workspace_id)
        with database.session(SYSTEM) as session:
            session.connection().exec_driver_sql(
                "update job_attempts set created_at = now() - interval '10 seconds' where job_id = %s", (lease.job_id,)
            )
            jobs.finish(session, lease, JobState.SUCCEEDED)
    assert set(order) == {other_workspace_id}


def test_a_workspace_that_was_away_has_saved_no_credit(
    submit: Submit, work: Callable[[int], list[str]], workspace_id: str, other_workspace_id: str
) -> None:
    submit(workspace_id=other_workspace_id, estimated_s=0)
    work(1)
    for _ in range(20):
        submit()
    work(10)
    for _ in range(10):
        submit(workspace_id=other_workspace_id)
    # turns are dealt by the milliseconds that each took, so half and half but for one
    assert 3 <= Counter(work(8))[workspace_id] <= 5


def test_no_more_jobs_of_a_workspace_run_at_once_than_it_may(
    submit: Submit, claim: Claim, database: Database, workspace_id: str, other_workspace_id: str
) -> None:
    for _ in range(4):
        submit()
    with database.session(SYSTEM) as session:
        jobs.set_max_running(session, queue_name="io", workspace_id=workspace_id, max_running=2)
    leases = [claim(), claim(), claim()]
    assert [lease is not None for lease in leases] == [True, True, False]
    submit(workspace_id=other_workspace_id)
    assert claim() is not None
    assert leases[0] is not None
    with database.session(SYSTEM) as session:
        jobs.finish(session, leases[0], JobState.SUCCEEDED)
    assert claim() is not None


def test_the_installations_limit_binds_those_without_their_own(
    submit: Submit, database: Database, workspace_id: str
) -> None:
    submit(), submit(), submit()

    def claim() -> Lease | None:
        with database.session(SYSTEM) as session:
            return jobs.claim(session, queue_name="io", worker_id="w", lease_s=60, max_running=1)

    assert claim() is not None
    assert claim() is None
    with database.session(SYSTEM) as session:
        jobs.set_max_running(session, queue_name="io", workspace_id=workspace_id, max_running=2)
    assert claim() is not None
    assert claim() is None


def test_a_claim_that_is_frozen_halfway_gives_way(submit: Submit, claim: Claim, database: Database) -> None:
    submit()
    with database.engine.connect() as frozen:
        frozen.exec_driver_sql(
            "select set_config('app.scope', 'system', true), "
            "set_config('idle_in_transaction_session_timeout', '300ms', true), "
            "pg_advisory_xact_lock(hashtextextended('claim:io', 0))"
        )
        assert claim() is not None
        frozen.invalidate()
