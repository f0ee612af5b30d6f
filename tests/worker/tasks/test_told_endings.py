"""What a worker and the reaper make of a run is told to the workspace's webhooks, once."""

from pathlib import Path

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM
from core.jobs.states import JobState
from core.webhooks.types import EventType
from core.workspaces.principal import Principal
from tests.core.webhooks.conftest import Outbox, outbox
from tests.factories.waiting import eventually
from tests.worker.tasks.test_training import GOOD_END, Scripted
from worker.context import WorkContext
from worker.reconcile import reconcile

__all__ = ["outbox"]

pytestmark = pytest.mark.stack


@pytest.fixture
def workshop(context: WorkContext, principal: Principal, tmp_path: Path, outbox: Outbox) -> Scripted:
    outbox.endpoint(*EventType)
    return Scripted(context, principal, tmp_path / "trainer.py")


def told(outbox: Outbox) -> list[str]:
    return [one.event_type.value.removeprefix("fine_tuning.job.") for one in outbox.deliveries()]


def abandon(workshop: Scripted, *assignments: str) -> None:
    """Its worker is gone for good."""
    with workshop.context.database.session(SYSTEM) as session:
        changes = ", ".join(("state = 'running'", "attempt = 1", *assignments))
        session.execute(text(f"update jobs set {changes}, lease_expires_at = now() - interval '1 second'"))


def test_success(workshop: Scripted, outbox: Outbox) -> None:
    workshop.trainer(GOOD_END)
    workshop.work()
    assert told(outbox) == ["succeeded"]


def test_a_failure_after_a_retry(workshop: Scripted, outbox: Outbox) -> None:
    workshop.trainer("sys.exit(4)")
    workshop.work()
    assert told(outbox) == [], "it is tried again"
    workshop.make_due()
    workshop.work()
    assert (workshop.look().job.state, told(outbox)) == (JobState.FAILED, ["failed"])


def test_a_cancel_at_work(workshop: Scripted, outbox: Outbox) -> None:
    workshop.trainer("time.sleep(60)")
    working = workshop.working()
    eventually(lambda: workshop.look().job.stage == "training")
    workshop.cancel()
    working.join(timeout=30)
    assert (workshop.look().job.state, told(outbox)) == (JobState.CANCELLED, ["cancelled"])


def test_a_pause_that_a_cancel_overtook(workshop: Scripted, outbox: Outbox) -> None:
    workshop.trainer("time.sleep(60)")
    working = workshop.working()
    eventually(lambda: workshop.look().job.stage == "training")
    workshop.pause()
    workshop.cancel()
    working.join(timeout=30)
    assert (workshop.look().job.state, told(outbox)) == (JobState.CANCELLED, ["cancelled"])


@pytest.mark.parametrize(
    ("assignment", "event"), [("max_attempts = 1", "failed"), ("cancel_requested_at = now()", "cancelled")]
)
def test_what_the_reaper_ends(workshop: Scripted, outbox: Outbox, assignment: str, event: str) -> None:
    abandon(workshop, assignment)
    for _ in range(2):
        reconcile(workshop.context.database, workshop.context.backends)
    assert told(outbox) == [event]
