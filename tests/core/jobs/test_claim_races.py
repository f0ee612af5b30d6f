"""A job that changes between the moment a claim chooses it and the moment it takes it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database
from core.jobs import repository
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease

pytestmark = pytest.mark.stack

_LAST_STEP = "select jobs.id, heads.virtual_time from heads\n"
_GATE = "pg_advisory_xact_lock(hashtextextended('gate', 0))"


def _wait_until_somebody_stands_at_the_gate(database: Database) -> None:
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        with database.session(SYSTEM) as session:
            if session.scalar(text("select count(*) from pg_locks where locktype = 'advisory' and not granted")):
                return
    raise AssertionError("the claim did not come to the gate")


@pytest.mark.parametrize("step", [jobs.request_cancel, jobs.request_pause])
def test_what_was_just_cancelled_or_paused_is_not_claimed_any_more(
    step: Callable[..., Job],
    submit: Callable[..., Job],
    claim: Callable[..., Lease | None],
    look: Callable[[str], Job],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert _LAST_STEP in repository._CHOOSE
    chosen = (
        f"select jobs.id, heads.virtual_time from (select heads.* from heads cross join (select {_GATE}) g) heads\n"
    )
    monkeypatch.setattr(repository, "_CHOOSE", repository._CHOOSE.replace(_LAST_STEP, chosen))
    first, second = submit(priority=1), submit()
    with ThreadPoolExecutor() as threads:
        with database.session(SYSTEM) as session:
            session.execute(text(f"select {_GATE}"))
            claimed = threads.submit(claim)
            _wait_until_somebody_stands_at_the_gate(database)
            step(session, workspace_id=first.workspace_id, job_id=first.id)
        assert claimed.result() is None
    assert look(first.id).state in {JobState.CANCELLED, JobState.PAUSED}
    monkeypatch.undo()
    lease = claim()
    assert lease is not None
    assert lease.job_id == second.id
