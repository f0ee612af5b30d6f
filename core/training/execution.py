"""A run as its worker sees it: what to do, and how it ended.

Every write is guarded by the lease; a fenced worker's transaction is rolled back whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.models import Adapter
from core.adapters.service import AdapterFile
from core.backends.events import EventBus
from core.datasets import files
from core.datasets import service as datasets
from core.datasets.files import NewFile
from core.datasets.health.overlap import Overlap
from core.datasets.types import RowRecord, Split
from core.errors import Conflict
from core.inference.types import Proof
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import EventLevel, Lease, NewEvent
from core.training import billing, leakage
from core.training.methods import quantization_of
from core.training.models import Run
from core.training.planning import execution_of
from core.training.repository import RunRepository
from core.training.service import run_not_found
from core.training.spec import ExecutionPlan, Lineage, TrainingSpec
from core.training.telling import tell_end
from core.workspaces import service as workspaces


class Fenced(Conflict):
    """The job has been given to another worker, or is over: roll back, stop, publish nothing."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class RunWork:
    """All that a worker needs to know of a run, without a session."""

    run_id: str
    spec: TrainingSpec
    execution: ExecutionPlan
    lineage: Lineage
    dataset_version_id: str
    validation_version_id: str | None
    is_leakage_known: bool
    """Whether it was looked before it was queued which rows to measure with are learned from too."""


@dataclass(frozen=True, slots=True)
class Published:
    """An adapter in the object store, whole and verified."""

    key_prefix: str
    digest: str
    files: Sequence[AdapterFile]


@dataclass(frozen=True, slots=True)
class PublishedCheckpoint:
    """The adapter as it was after a step, beside the one that is shipped."""

    step: int
    published: Published
    metrics: dict[str, Any]


def load(session: Session, lease: Lease) -> RunWork:
    run = _run_of(session, lease)
    version = datasets.get_version(session, workspace_id=lease.workspace_id, version_id=run.dataset_version_id)
    return RunWork(
        run_id=run.id,
        spec=TrainingSpec.model_validate(run.spec),
        execution=execution_of(run.estimate),
        lineage=Lineage(
            run_id=run.id,
            attempt=lease.attempt,
            dataset_version_id=run.dataset_version_id,
            dataset_sha256=version.content_sha256,
        ),
        dataset_version_id=run.dataset_version_id,
        validation_version_id=run.validation_version_id,
        is_leakage_known=leakage.of(run.estimate) is not None,
    )


def rows(session: Session, lease: Lease, work: RunWork, split: Split) -> Iterator[RowRecord]:
    """What is trained on (`TRAIN`) or measured with (`HELDOUT`).

    A validation file takes the place of the held-out rows, which then are trained on too.
    """

    def read(version_id: str, wanted: Split) -> Iterator[RowRecord]:
        return datasets.stream_rows(session, workspace_id=lease.workspace_id, version_id=version_id, split=wanted)

    if work.validation_version_id is None:
        yield from read(work.dataset_version_id, split)
        return
    version_id = work.dataset_version_id if split is Split.TRAIN else work.validation_version_id
    yield from read(version_id, Split.TRAIN)
    yield from read(version_id, Split.HELDOUT)


def note_leakage(session: Session, lease: Lease, overlap: Overlap, *, bus: EventBus | None = None) -> None:
    """Enter what of the rows to measure with is learned from too, before anything is trained. Raises `Fenced`."""
    told = [NewEvent(message=leakage.told(overlap), level=EventLevel.WARN)] if overlap.num_shared else []
    if not jobs.record_events(session, lease, told, bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")
    run = _run_of(session, lease)
    run.estimate = leakage.noted(run.estimate, overlap)


def say(session: Session, lease: Lease, *messages: str, bus: EventBus | None = None) -> None:
    """Raises `Fenced`."""
    if not jobs.record_events(session, lease, [NewEvent(message=message) for message in messages], bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")


def succeed(
    session: Session,
    lease: Lease,
    *,
    published: Published,
    results: dict[str, Any],
    result_file: NewFile | None = None,
    checkpoints: Sequence[PublishedCheckpoint] = (),
    proof: Proof | None = None,
    bus: EventBus | None = None,
) -> Adapter:
    """Enter the adapter, the results, their file and the charge, and end the job: all of it or, if fenced, none.

    Charged is `results["billable_s"]`.
    """
    run = _run_of(session, lease)
    spec = TrainingSpec.model_validate(run.spec)
    workspace = workspaces.get_workspace(session, workspace_id=lease.workspace_id)
    adapter = adapters.register(
        session,
        workspace_id=lease.workspace_id,
        workspace_slug=workspace.slug,
        run_id=run.id,
        created_by=run.created_by,
        name=run.name,
        suffix=run.suffix or run.name,
        base_model=run.base_model,
        method=spec.method.type,
        quantization=quantization_of(spec.method),
        digest=published.digest,
        key_prefix=published.key_prefix,
        files=published.files,
        spec=spec.model_dump(mode="json") | {"dataset_version_id": run.dataset_version_id},
        metrics=results,
        proof=proof,
    )
    run.adapter_id = adapter.id
    if result_file is not None:
        made = files.enter(session, workspace_id=run.workspace_id, created_by=run.created_by, new=result_file)
        run.result_file_id = made.id
    run.results = results
    run.trained_tokens = int(results.get("trained_tokens") or 0)
    run.base_heldout_loss = results.get("base_heldout_loss")
    run.tuned_heldout_loss = results.get("tuned_heldout_loss")
    billable_s = billing.seconds_of(results.get("billable_s"))
    billing.charge(session, run, billable_s=billable_s, num_tokens=run.trained_tokens)
    say(
        session,
        lease,
        *_entered(session, adapter, checkpoints),
        *_proof_told(proof),
        # the wire ends with these two
        f"New fine-tuned model created: {adapter.model_id}",
        "The job has successfully completed",
    )
    _finish(session, lease, run, JobState.SUCCEEDED, bus=bus)
    return adapter


def is_published(session: Session, lease: Lease, *, key_prefix: str) -> bool:
    """Whether a `succeed` of this very attempt went through, for one whose answer was lost."""
    run = _run_of(session, lease)
    made = adapters.of_runs(session, workspace_id=lease.workspace_id, run_ids=[run.id]).get(run.id)
    return made is not None and made.key_prefix == key_prefix


def cancelled(session: Session, lease: Lease, *, billable_s: float, bus: EventBus | None = None) -> None:
    """End a run that was asked to stop. It pays for the seconds that it used, as the page says before it asks."""
    run = _run_of(session, lease)
    # for an attempt that ended before it reported anything, what those before it had used counts
    used_s = billing.seconds_of(billable_s) or run.seconds or 0.0
    billing.charge(session, run, billable_s=used_s, num_tokens=0)
    _finish(session, lease, run, JobState.CANCELLED, bus=bus)


def note_used(session: Session, lease: Lease, *, billable_s: float) -> None:
    """What the run has used so far, for an attempt that ends while the run goes on later. Raises `Fenced`."""
    say(session, lease)
    billing.note_used(session, _run_of(session, lease), billable_s=billing.seconds_of(billable_s))


def end_free(session: Session, *, workspace_id: str, run_id: str) -> None:
    """The job ended without an adapter and not by its owner's wish: the run costs nothing, and says so."""
    run = RunRepository(session, workspace_id).get(run_id)
    if run is not None:
        billing.end_free(session, run)
        tell_end(session, run)


def end_cancelled(session: Session, *, workspace_id: str, run_id: str) -> None:
    """The job was cancelled while nobody worked on it: the run pays for what earlier attempts used."""
    run = RunRepository(session, workspace_id).get(run_id)
    if run is not None:
        billing.charge_cancelled(session, run)
        tell_end(session, run)


def _entered(session: Session, shipped: Adapter, checkpoints: Sequence[PublishedCheckpoint]) -> list[str]:
    """Enter the checkpoints; what is said of each, in OpenAI's words."""
    said = []
    for checkpoint in sorted(checkpoints, key=lambda one: one.step):
        made = adapters.register_checkpoint(
            session,
            shipped=shipped,
            step=checkpoint.step,
            digest=checkpoint.published.digest,
            key_prefix=checkpoint.published.key_prefix,
            files=checkpoint.published.files,
            metrics=checkpoint.metrics,
        )
        said.append(f"Checkpoint created at step {checkpoint.step} with Snapshot ID: {made.model_id}")
    return said


def _proof_told(proof: Proof | None) -> list[str]:
    if proof is None:
        return []
    if proof.is_passed:
        said = (
            f"Checked at {proof.num_places} places of {proof.num_rows} examples: it answers where it is served as it "
            f"was trained ({_difference_told(proof)})."
        )
        return [said]
    return [f"The model is not put to use, since a check failed. {proof.reason}"]


def _difference_told(proof: Proof) -> str:
    if proof.typical_difference is None or proof.typical_tolerance is None:
        return f"scores differ by at most {proof.max_difference:.2g}; {proof.tolerance:g} is allowed"
    return f"scores differ by {proof.typical_difference:.2g}; rounding explains up to {proof.typical_tolerance:.2g}"


def _finish(session: Session, lease: Lease, run: Run, state: JobState, *, bus: EventBus | None) -> None:
    if not jobs.finish(session, lease, state, bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")
    tell_end(session, run)


def _run_of(session: Session, lease: Lease) -> Run:
    run_id = str(lease.payload["run_id"])
    run = RunRepository(session, lease.workspace_id).get(run_id)
    if run is None:
        raise run_not_found(run_id)
    return run
