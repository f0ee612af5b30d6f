"""The jobs of everybody, newest first, with what they are called and how long they wait."""

from collections.abc import Callable, Iterator

import pytest

from core.db.session import SYSTEM, Database
from core.errors import NotFound
from core.jobs import leases
from core.jobs import service as leased
from core.jobs.kinds import JobKind, QueueName
from core.jobs.models import Job
from core.jobs.states import AttemptOutcome, JobState
from core.jobs.types import Lease
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.kit.pagination import PageRequest
from core.monitoring import jobs
from core.monitoring.types import JobFilter
from core.workspaces.principal import Principal
from tests.factories.training import make_version

pytestmark = pytest.mark.stack


@pytest.fixture
def fill(database: Database, workspace_id: str, other_workspace_id: str) -> Callable[[int], list[str]]:
    def _fill(num: int) -> list[str]:
        ids = [new_id("job_") for _ in range(num)]
        with database.session(SYSTEM) as session:
            session.add_all(
                Job(
                    id=job_id,
                    workspace_id=workspace_id if number % 3 else other_workspace_id,
                    kind=JobKind.DATASET_INGEST,
                    queue=QueueName.IO,
                    state=JobState.SUCCEEDED if number % 2 else JobState.FAILED,
                    payload={},
                    finished_at=utc_now(),
                )
                for number, job_id in enumerate(ids)
            )
        return sorted(ids, reverse=True)

    return _fill


class TestTheList:
    def test_pages_over_a_thousand_show_each_once(self, database: Database, fill: Callable[[int], list[str]]) -> None:
        expected = fill(1050)
        assert list(_walk(database, JobFilter())) == expected

    def test_a_filter_is_kept_over_pages(
        self, database: Database, other_workspace_id: str, fill: Callable[[int], list[str]]
    ) -> None:
        fill(300)
        wanted = JobFilter(workspace_id=other_workspace_id, state=JobState.FAILED)
        assert len(list(_walk(database, wanted))) == 50
        assert list(_walk(database, JobFilter(queue=QueueName.GPU))) == []
        assert list(_walk(database, JobFilter(kind=JobKind.TRAINING_RUN))) == []


class TestWhatIsSaid:
    def test_a_job_is_called_by_what_it_does(
        self, database: Database, workspace_id: str, principal: Principal, submit: Callable[..., Job]
    ) -> None:
        with database.session(SYSTEM) as session:
            version = make_version(session, workspace_id)
        with database.session(SYSTEM) as session:
            view, attempts = jobs.get_job(session, job_id=version.job_id)
        assert (view.title, view.workspace_name, view.run_id, view.wait_s) == (
            "Reading reviews.jsonl", "Acme", None, None,
        )  # fmt: skip
        assert attempts == []
        job = submit(kind=JobKind.TRAINING_RUN, created_by=principal.user_id)
        with database.session(SYSTEM) as session:
            view, _ = jobs.get_job(session, job_id=job.id)
        assert view.title == "Training a model"
        assert view.created_by_name == principal.display_name

    def test_a_wait_runs_until_the_claim_and_then_stands(
        self,
        database: Database,
        submit: Callable[..., Job],
        claim: Callable[..., Lease],
        execute: Callable[..., None],
    ) -> None:
        job = submit(age_s=50)
        assert _wait_s(database, job.id) == pytest.approx(50, abs=5)
        claim()
        execute("update job_attempts set created_at = now() - interval '20 seconds'")
        assert _wait_s(database, job.id) == pytest.approx(30, abs=5)

    def test_every_lease_is_remembered(
        self, database: Database, submit: Callable[..., Job], claim: Callable[..., Lease]
    ) -> None:
        job = submit()
        claim(worker_id="w1")
        with database.session(SYSTEM) as session:
            leased.kill(session, job_id=job.id)
        claim(worker_id="w2")
        with database.session(SYSTEM) as session:
            _, attempts = jobs.get_job(session, job_id=job.id)
        assert [(view.attempt.attempt, view.attempt.worker_id, view.attempt.outcome) for view in attempts] == [
            (1, "w1", AttemptOutcome.KILLED),
            (2, "w2", None),
        ]
        assert all(view.seconds >= 0 for view in attempts)

    def test_logs_are_read_on_from_the_last_seen(
        self, database: Database, submit: Callable[..., Job], claim: Callable[..., Lease]
    ) -> None:
        job = submit()
        lease = claim()
        with database.session(SYSTEM) as session:
            for number in range(5):
                leases.append_logs(session, lease, f"line {number}\n")
        with database.session(SYSTEM) as session:
            first, has_more = jobs.list_logs(session, job_id=job.id, after_seq=0, limit=3)
            assert has_more
            rest, has_more = jobs.list_logs(session, job_id=job.id, after_seq=first[-1].seq, limit=3)
        assert not has_more
        assert "".join(log.text for log in (*first, *rest)) == "".join(f"line {number}\n" for number in range(5))

    def test_a_job_that_is_not_there_is_said_so(self, database: Database) -> None:
        with database.session(SYSTEM) as session, pytest.raises(NotFound):
            jobs.get_job(session, job_id="job_none")


def _walk(database: Database, wanted: JobFilter) -> Iterator[str]:
    after = None
    while True:
        with database.session(SYSTEM) as session:
            page = jobs.list_jobs(session, page=PageRequest(after=after, limit=100), wanted=wanted)
        yield from (view.job.id for view in page.items)
        if not page.has_more:
            return
        after = page.items[-1].job.id


def _wait_s(database: Database, job_id: str) -> float | None:
    with database.session(SYSTEM) as session:
        return jobs.get_job(session, job_id=job_id)[0].wait_s
