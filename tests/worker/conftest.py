import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.models import Job
from core.jobs.types import Lease
from tests.factories.children import PRELUDE
from worker.context import WorkContext
from worker.supervise import ChildResult, run_child


@pytest.fixture
def context(settings: Settings, database: Database, backends: Backends, tmp_path: Path) -> WorkContext:
    """A worker in a hurry: what takes seconds in life takes a moment here."""
    hurried = settings.model_copy(update={"heartbeat_s": 0.05, "reconcile_interval_s": 0.2})
    return WorkContext(settings=hurried, database=database, backends=backends, worker_id="w1")


@pytest.fixture
def lease(database: Database, submit: Callable[..., Job]) -> Lease:
    submit()
    with database.session(SYSTEM) as session:
        lease = jobs.claim(session, queue_name="io", worker_id="w1", lease_s=60)
    assert lease is not None
    return lease


@pytest.fixture
def run(context: WorkContext, lease: Lease, tmp_path: Path) -> Callable[..., ChildResult]:
    """Run a script as the child of the lease."""

    def _run(
        script: str,
        *,
        context: WorkContext = context,
        lease: Lease = lease,
        **arguments: Any,  # noqa: ANN401
    ) -> ChildResult:
        argv = [sys.executable, "-c", PRELUDE + script, str(tmp_path)]
        return run_child(argv, tmp_path, lease, context=context, **arguments)

    return _run
