"""The registry of tuned models. Their bytes are written once and never touched by delete or restore."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.adapters.model_ids import checkpoint_model_id, new_model_id
from core.adapters.models import Adapter
from core.adapters.repository import AdapterRepository
from core.adapters.types import PARITY_FILE, AdapterOrigin, ProofStatus
from core.errors import NotFound
from core.inference.types import Proof
from core.kit.clock import utc_now
from core.kit.ids import new_id


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """One published object of an adapter."""

    name: str
    key: str
    sha256: str
    num_bytes: int


def register(
    session: Session,
    *,
    workspace_id: str,
    workspace_slug: str,
    run_id: str | None,
    created_by: str | None,
    name: str | None,
    suffix: str | None,
    base_model: str,
    method: str,
    quantization: str | None,
    digest: str,
    key_prefix: str,
    files: Sequence[AdapterFile],
    spec: dict[str, Any],
    metrics: dict[str, Any],
    proof: Proof | None = None,
    lineage: dict[str, Any] | None = None,
) -> Adapter:
    """Enter a published adapter; its files must be uploaded and verified before this.

    It is of a run, or else has a `lineage` that says who brought it.
    """
    adapter = Adapter(
        id=new_id("adp_"),
        workspace_id=workspace_id,
        origin=AdapterOrigin.IMPORTED if run_id is None else AdapterOrigin.TRAINED,
        run_id=run_id,
        lineage=lineage,
        created_by=created_by,
        model_id=new_model_id(base_model=base_model, workspace_slug=workspace_slug, suffix=suffix),
        name=name,
        base_model=base_model,
        method=method,
        quantization=quantization,
        digest=digest,
        files=[asdict(file) for file in files],
        key_prefix=key_prefix,
        num_bytes=sum(file.num_bytes for file in files),
        spec=spec,
        metrics=metrics,
        proof_status=_proof_status(files, proof),
        proof=None if proof is None else proof.model_dump(mode="json"),
        deleted_at=None,
    )
    AdapterRepository(session, workspace_id).add(adapter)
    return adapter


def register_checkpoint(
    session: Session,
    *,
    shipped: Adapter,
    step: int,
    digest: str,
    key_prefix: str,
    files: Sequence[AdapterFile],
    metrics: dict[str, Any],
) -> Adapter:
    """Enter a state that the run passed through, beside the adapter that it ships; a model of its own to talk to."""
    adapter = Adapter(
        id=new_id("adp_"),
        workspace_id=shipped.workspace_id,
        origin=shipped.origin,
        run_id=shipped.run_id,
        lineage=shipped.lineage,
        checkpoint_step=step,
        created_by=shipped.created_by,
        model_id=checkpoint_model_id(shipped.model_id, step),
        name=None if shipped.name is None else f"{shipped.name}, step {step}",
        base_model=shipped.base_model,
        method=shipped.method,
        quantization=shipped.quantization,
        digest=digest,
        files=[asdict(file) for file in files],
        key_prefix=key_prefix,
        num_bytes=sum(file.num_bytes for file in files),
        spec=shipped.spec,
        metrics=metrics,
        proof_status=_proof_status(files, None),
        proof=None,
        deleted_at=None,
    )
    AdapterRepository(session, shipped.workspace_id).add(adapter)
    return adapter


def note_proof(session: Session, *, workspace_id: str, adapter_id: str, proof: Proof) -> None:
    """Keep what a proof came to. Of two at the same time the later stands; they come to the same."""
    adapter = AdapterRepository(session, workspace_id).get(adapter_id)
    if adapter is not None:
        adapter.proof_status = ProofStatus.PASSED if proof.is_passed else ProofStatus.FAILED
        adapter.proof = proof.model_dump(mode="json")


def _proof_status(files: Sequence[AdapterFile], proof: Proof | None) -> ProofStatus:
    if proof is not None:
        return ProofStatus.PASSED if proof.is_passed else ProofStatus.FAILED
    has_reference = any(file.name == PARITY_FILE for file in files)
    return ProofStatus.PENDING if has_reference else ProofStatus.NONE


def files_of(adapter: Adapter) -> list[AdapterFile]:
    return [AdapterFile(**entry) for entry in adapter.files]


def list_adapters(session: Session, *, workspace_id: str) -> Sequence[Adapter]:
    """Newest first, without the deleted ones."""
    return AdapterRepository(session, workspace_id).living()


def get_by_model_id(session: Session, *, workspace_id: str, model_id: str) -> Adapter:
    """Raises `NotFound` (`model_not_found`) for an unknown, foreign or deleted model."""
    adapter = AdapterRepository(session, workspace_id).by_model_id(model_id)
    if adapter is None:
        raise model_not_found(model_id)
    return adapter


def of_runs(session: Session, *, workspace_id: str, run_ids: Sequence[str]) -> Mapping[str, Adapter]:
    """What these runs ship by run id, deleted ones too: a run goes on naming what it made."""
    found = AdapterRepository(session, workspace_id).of_runs(run_ids)
    return {adapter.run_id: adapter for adapter in found if adapter.run_id is not None}


def of_run(session: Session, *, workspace_id: str, run_id: str) -> Sequence[Adapter]:
    """What a run ships and its checkpoints, deleted ones too, in no order."""
    return AdapterRepository(session, workspace_id).of_run(run_id)


def imported(session: Session, *, workspace_id: str) -> Sequence[Adapter]:
    """Those that were made elsewhere, deleted ones too; the oldest first."""
    return AdapterRepository(session, workspace_id).imported()


def num_imported_bytes(session: Session, *, workspace_id: str) -> int:
    """What the weights of imported adapters take; they stay when a model is deleted."""
    return AdapterRepository(session, workspace_id).num_imported_bytes()


def delete(session: Session, *, workspace_id: str, model_id: str) -> Adapter:
    """Hide the model from lists and from chat. `restore` undoes it."""
    adapter = AdapterRepository(session, workspace_id).by_model_id_for_update(model_id)
    if adapter is None or adapter.deleted_at is not None:
        raise model_not_found(model_id)
    adapter.deleted_at = utc_now()
    return adapter


def restore(session: Session, *, workspace_id: str, model_id: str) -> Adapter:
    """Bring a deleted model back; a model that is there stays as it is."""
    adapter = AdapterRepository(session, workspace_id).by_model_id_for_update(model_id)
    if adapter is None:
        raise model_not_found(model_id)
    adapter.deleted_at = None
    return adapter


def model_not_found(model_id: str) -> NotFound:
    return NotFound(
        f"There is no model {model_id!r} in this workspace. GET /v1/models lists the models that can be used.",
        code="model_not_found",
        param="model",
    )
