"""What a job's process or a library of it says with a secret in it is kept without."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from core.db.session import workspace_scope
from core.jobs import service as jobs
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import Blame, JobState
from core.jobs.types import EventLevel, JobError, Lease, NewEvent
from tests.factories.planted import Planted, kept_in, logged
from worker.app import work_once
from worker.context import WorkContext

pytestmark = pytest.mark.stack

KEPT = ("job_logs", "job_events", "jobs", "job_attempts", "audit_events")


class Leaky:
    """A task whose work says what it should not."""

    def __init__(self, planted: Planted, *, fails: bool) -> None:
        self._planted = planted
        self._fails = fails

    def run(self, context: WorkContext, lease: Lease) -> None:
        def secret(place: str) -> str:
            return self._planted.secret(place)

        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.append_logs(session, lease, f"export HF_TOKEN; hf_token={secret('log')}\nloss=0.3 pad_token=<pad>\n")
            event = NewEvent(
                message=f"fetching https://hub/x?X-Amz-Signature={secret('event')}",
                level=EventLevel.INFO,
                data={"url": f"https://u:{secret('event data')}@hub", "authorization": secret("event header")},
            )
            jobs.record_events(session, lease, [event])
        if self._fails:
            raise RuntimeError(f"connect to postgresql://app:{secret('exception')}@db/t failed")
        error = JobError(code="bad_input", message=f"redis://:{secret('error')}@valkey/0 is away")
        error["details"] = {"password": secret("error details")}
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.USER_ERROR)

    def settle(self, session: object, job: Job) -> None:
        pass

    def of(self, kind: JobKind) -> "Leaky":
        return self


@pytest.mark.parametrize(("fails", "num_planted"), [(False, 6), (True, 5)])
def test_a_job_keeps_no_secret(
    context: WorkContext, submit: Callable[..., Job], owner_engine: Engine, *, fails: bool, num_planted: int
) -> None:
    planted = Planted()
    submit()
    with logged() as log:
        assert work_once(context, QueueName.IO, Leaky(planted, fails=fails).of)
    kept = kept_in(owner_engine, *KEPT)
    assert "loss=0.3 pad_token=<pad>" in kept
    assert kept.count("[redacted]") >= 4
    assert len(planted.by_place) == num_planted
    assert planted.found_in(kept) == []
    assert planted.found_in(log.getvalue()) == []
