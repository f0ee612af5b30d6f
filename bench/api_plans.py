"""The plans of the lists that `bench/api.py` measures, which must not read a long table from its beginning."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from core.db.session import SYSTEM, workspace_scope
from core.jobs.states import JobState
from core.kit.pagination import PageRequest
from core.monitoring import jobs
from core.monitoring.types import JobFilter
from core.training import service as training
from core.training.types import RunFilter
from tests.factories.plans import plans
from tests.faults.arena import Arena

LONG = frozenset({"jobs", "runs", "run_metadata"})


def explain(arena: Arena, after: str) -> dict[str, Any]:
    """By list: its queries' steps and milliseconds. Raises if one of them reads a long table whole."""
    workspace_id = arena.principal().workspace_id
    scope = workspace_scope(workspace_id)

    def runs(wanted: RunFilter, after: str | None = after) -> Callable[[Session], object]:
        page = PageRequest(after=after)
        return lambda session: training.list_runs(session, workspace_id=workspace_id, page=page, wanted=wanted)

    def of_all(wanted: JobFilter) -> Callable[[Session], object]:
        page = PageRequest(after=after.replace("ftjob-", "job_"))
        return lambda session: jobs.list_jobs(session, page=page, wanted=wanted)

    asked = {
        "first": (scope, runs(RunFilter(), None)),
        "deep": (scope, runs(RunFilter())),
        "common_metadata": (scope, runs(RunFilter(metadata={"team": "a"}))),
        "rare_metadata": (scope, runs(RunFilter(metadata={"customer": "rare"}))),
        "two_pairs_of_metadata": (scope, runs(RunFilter(metadata={"team": "a", "customer": "rare"}))),
        "no_metadata": (scope, runs(RunFilter(has_no_metadata=True))),
        "admin_by_state": (SYSTEM, of_all(JobFilter(state=JobState.FAILED))),
        "admin_by_workspace": (SYSTEM, of_all(JobFilter(workspace_id=workspace_id))),
    }
    found = {}
    for name, (where, ask) in asked.items():
        made = plans(arena.database, where, ask)
        whole = LONG & frozenset().union(*(plan.scanned for plan in made))
        if whole:
            raise RuntimeError(f"{name} reads {sorted(whole)} whole: {[plan.steps for plan in made]}")
        found[name] = [{"ms": plan.milliseconds, "steps": plan.steps} for plan in made]
    return found
