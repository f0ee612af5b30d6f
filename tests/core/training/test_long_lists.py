"""Lists by their plans: a page costs the same wherever it begins, and by whatever it is filtered."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from core.config import Settings
from core.db.session import SYSTEM, Database, Scope, workspace_scope
from core.jobs.states import JobState
from core.kit.pagination import Page, PageRequest
from core.monitoring import jobs as all_jobs
from core.monitoring.types import JobFilter
from core.training import service as training
from core.training.request import RunRequest
from core.training.types import RunDetails, RunFilter
from core.workspaces.principal import Principal
from tests.factories import long_lists
from tests.factories.plans import plans
from tests.factories.training import make_version, put_base_model_on_disk

pytestmark = pytest.mark.stack

NUM = 40_000
LONG = {"jobs", "runs", "run_metadata"}
# far more than a page of 20 and what it is joined with
MANY_ROWS = 1_000


@pytest.fixture
def many(database: Database, owner_engine: Engine, settings: Settings, principal: Principal) -> Iterator[Principal]:
    """A principal whose workspace has very many runs."""
    model = put_base_model_on_disk(settings)
    with database.session(workspace_scope(principal.workspace_id)) as session:
        version = make_version(session, principal.workspace_id)
        made = training.create(
            session,
            principal=principal,
            request=RunRequest(model=model, dataset_version_id=version.id),
            settings=settings,
            queue=None,
        )
    with owner_engine.connect() as connection:
        long_lists.fill(connection, template_run_id=made.run.id, num=NUM)
    yield principal
    with owner_engine.begin() as connection:
        connection.execute(text("truncate jobs, runs cascade"))
        # the next tests' tables are small again, and are to be planned as such
        connection.execute(text("analyze jobs, runs, run_metadata"))


DEEP = long_lists.run_id(NUM // 2)


CASES = [
    (None, RunFilter(), 20),
    (DEEP, RunFilter(), 20),
    (DEEP, RunFilter(metadata={"team": "a"}), 20),
    (None, RunFilter(metadata={"customer": "rare"}), 3),
    (DEEP, RunFilter(metadata={"customer": "rare"}), 2),
    (DEEP, RunFilter(metadata={"team": "a", "customer": "rare"}), 2),
    (DEEP, RunFilter(metadata={"customer": "rare", "team": "b"}), 0),
    (DEEP, RunFilter(has_no_metadata=True), 20),
    (DEEP, RunFilter(has_no_metadata=True, metadata={"team": "a"}), 0),
]


def test_a_page_is_found_by_an_index(database: Database, many: Principal) -> None:
    scope = workspace_scope(many.workspace_id)
    for after, wanted, num_found in CASES:

        def list_runs(session: Session, after: str | None = after, wanted: RunFilter = wanted) -> Page[RunDetails]:
            page = PageRequest(after=after)
            return training.list_runs(session, workspace_id=many.workspace_id, page=page, wanted=wanted)

        with database.session(scope) as session:
            found = [one.run for one in list_runs(session).items]
        assert len(found) == num_found, wanted
        assert [run.id for run in found] == sorted((run.id for run in found), reverse=True)
        assert all((wanted.metadata or {}).items() <= (run.user_metadata or {}).items() for run in found)
        check(database, scope, list_runs)
    page = PageRequest(after=DEEP.replace("ftjob-", "job_"))
    for state in (None, JobState.FAILED, JobState.PAUSED):
        for workspace_id in (None, many.workspace_id):
            of_all = JobFilter(state=state, workspace_id=workspace_id)
            check(database, SYSTEM, partial(all_jobs.list_jobs, page=page, wanted=of_all))


def check(database: Database, scope: Scope, ask: Callable[[Session], object]) -> None:
    for plan in plans(database, scope, ask):
        assert plan.scanned & LONG == set(), plan.steps
        assert plan.most_rows < MANY_ROWS, plan.steps
