"""Checkpoints beyond one machine: what the object store holds of each run, newest first.

A row is entered when every object of a checkpoint is stored and verified, so an upload that was cut is never seen. The
newest `KEPT` of a run are kept while it may go on: until it succeeds or is cancelled, or 30 days after it failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.training.checkpoints.repository import CheckpointRepository, LeftoverRepository
from core.training.execution import Fenced
from core.training.models import RunCheckpoint

KEPT = 2
_FAILED_KEPT_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    attempt: int
    step: int
    key_prefix: str
    digest: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that is over, and what of it in the object store is somebody's."""

    workspace_id: str
    run_id: str
    last_attempt: int
    is_done: bool
    """Nobody can take it up again."""
    kept_prefixes: tuple[str, ...]


def run_prefix(workspace_id: str, run_id: str) -> str:
    """Below it lies everything that any attempt at a run ever stored."""
    return f"workspaces/{workspace_id}/runs/{run_id}/"


def key_prefix(lease: Lease, run_id: str, name: str) -> str:
    """Its own for every attempt, so that a worker that lost its lease overwrites nothing."""
    return f"{run_prefix(lease.workspace_id, run_id)}checkpoints/a{lease.attempt}/{name}"


def record(session: Session, lease: Lease, *, run_id: str, checkpoint: StoredCheckpoint) -> list[str]:
    """Enter a stored checkpoint; the key prefixes of those it replaces, to be deleted after the commit.

    Raises `Fenced`.
    """
    if not jobs.record_events(session, lease, []):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")
    repository = CheckpointRepository(session, lease.workspace_id)
    repository.add(
        RunCheckpoint(
            run_id=run_id,
            attempt=checkpoint.attempt,
            step=checkpoint.step,
            workspace_id=lease.workspace_id,
            key_prefix=checkpoint.key_prefix,
            digest=checkpoint.digest,
            num_bytes=checkpoint.num_bytes,
        )
    )
    superseded = repository.of_run(run_id)[KEPT:]
    prefixes = [old.key_prefix for old in superseded]
    for old in superseded:
        repository.remove(old)
    return prefixes


def stored(session: Session, *, workspace_id: str, run_id: str) -> Sequence[StoredCheckpoint]:
    """Newest first."""
    return [
        StoredCheckpoint(row.attempt, row.step, row.key_prefix, row.digest, row.num_bytes)
        for row in CheckpointRepository(session, workspace_id).of_run(run_id)
    ]


def forget(session: Session, *, workspace_id: str, run_id: str) -> None:
    """The run needs them no more; their objects go with the next sweep at the latest."""
    CheckpointRepository(session, workspace_id).remove_all(run_id)


def sweep(session: Session, *, since_s: float) -> list[EndedRun]:
    """Drop the rows that nobody needs. Of runs that ended in the last `since_s`, leftovers in the object store may go.

    Needs a system session.
    """
    repository = LeftoverRepository(session)
    repository.remove_needless(failed_kept_s=_FAILED_KEPT_S)
    ended = repository.ended(since_s=since_s)
    kept: dict[str, list[str]] = {run.id: [] for run, _ in ended}
    for run_id, prefix in repository.kept_prefixes(list(kept)):
        kept[run_id].append(prefix)
    return [
        EndedRun(
            workspace_id=run.workspace_id,
            run_id=run.id,
            last_attempt=job.attempt,
            is_done=job.state is not JobState.FAILED,
            kept_prefixes=tuple(kept[run.id]),
        )
        for run, job in ended
    ]


def over(session: Session, *, job_ids: Sequence[str]) -> set[str]:
    """Of these jobs, those that are done, so that nothing of them is needed. Needs a system session."""
    states = LeftoverRepository(session).job_states(job_ids)
    return {job_id for job_id, state in states.items() if state in {JobState.SUCCEEDED, JobState.CANCELLED}}
