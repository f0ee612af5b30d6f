"""Queries of stored checkpoints, and of runs whose objects nobody needs any more."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.jobs.models import Job
from core.jobs.states import JobState
from core.training.models import Run, RunCheckpoint

_DONE = (JobState.SUCCEEDED, JobState.CANCELLED)
_OVER = (*_DONE, JobState.FAILED)


class CheckpointRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add(self, checkpoint: RunCheckpoint) -> None:
        """One that is entered already stays as it is."""
        self._session.merge(checkpoint)
        self._session.flush()

    def of_run(self, run_id: str) -> Sequence[RunCheckpoint]:
        """Newest first: of the last attempt before earlier ones, whatever their steps."""
        return self._session.scalars(
            select(RunCheckpoint)
            .where(RunCheckpoint.workspace_id == self._workspace_id, RunCheckpoint.run_id == run_id)
            .order_by(RunCheckpoint.attempt.desc(), RunCheckpoint.step.desc())
        ).all()

    def remove(self, checkpoint: RunCheckpoint) -> None:
        self._session.delete(checkpoint)
        self._session.flush()

    def remove_all(self, run_id: str) -> None:
        self._session.execute(
            delete(RunCheckpoint).where(
                RunCheckpoint.workspace_id == self._workspace_id, RunCheckpoint.run_id == run_id
            )
        )


class LeftoverRepository:
    """Across workspaces: needs a system session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def remove_needless(self, *, failed_kept_s: float) -> None:
        """Checkpoints of runs that are done, and of those that failed so long ago that nobody continues them."""
        cutoff = func.now() - timedelta(seconds=failed_kept_s)
        needless = (
            select(Run.id)
            .join(Job, Job.id == Run.job_id)
            .where(
                or_(Job.state.in_(_DONE), and_(Job.state == JobState.FAILED, Job.finished_at < cutoff)),
                Run.id.in_(select(RunCheckpoint.run_id)),
            )
        )
        self._session.execute(delete(RunCheckpoint).where(RunCheckpoint.run_id.in_(needless)))

    def ended(self, *, since_s: float) -> Sequence[tuple[Run, Job]]:
        """Runs that ended so recently that somebody may have left something behind."""
        since = func.now() - timedelta(seconds=since_s)
        rows = self._session.execute(
            select(Run, Job).join(Job, Job.id == Run.job_id).where(Job.state.in_(_OVER), Job.finished_at >= since)
        )
        return [(row[0], row[1]) for row in rows]

    def kept_prefixes(self, run_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """(run, prefix) of every object that is somebody's: published adapters, deleted or not, and checkpoints."""
        adapters = self._session.execute(select(Adapter.run_id, Adapter.key_prefix).where(Adapter.run_id.in_(run_ids)))
        stored = self._session.execute(
            select(RunCheckpoint.run_id, RunCheckpoint.key_prefix).where(RunCheckpoint.run_id.in_(run_ids))
        )
        return [(row[0], row[1]) for found in (adapters, stored) for row in found if row[0] is not None]

    def job_states(self, job_ids: Sequence[str]) -> dict[str, JobState]:
        rows = self._session.execute(select(Job.id, Job.state).where(Job.id.in_(job_ids)))
        return {row[0]: row[1] for row in rows}
