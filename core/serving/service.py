"""Which models a workspace can talk to, what the runtime needs to speak as one of them, and what the talking costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.models import Adapter
from core.adapters.permissions import service as permissions
from core.adapters.types import AdapterOrigin, ProofStatus
from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.base_models import service as base_models
from core.base_models.types import BaseModel
from core.config import Settings
from core.errors import Invalid, NotFound, Unavailable
from core.inference.types import AdapterFile, AdapterRef
from core.kit.money import priced
from core.usage import service as usage
from core.workers.hardware import CPU
from core.workspaces.principal import Principal

_OWNER_OF_BASE_MODELS = "tailorbird"
# the method that makes no adapter
_WHOLE_MODEL = "full"
# longer than a cold runtime takes to fetch an adapter behind others
_URL_EXPIRES_S = 900


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model by the id that chat asks for."""

    id: str
    kind: Literal["base", "tuned", "alias"]
    name: str
    base_model: str
    owned_by: str
    is_ready: bool
    created_at: datetime | None = None
    is_shared: bool = False
    """Another workspace's, which lets us use it: where it came from stays the owner's."""
    origin: AdapterOrigin | None = None
    """Of a tuned model of one's own."""
    lineage: dict[str, Any] | None = None
    """Of one that was imported: who brought it, and of what."""
    run_id: str | None = None
    method: str | None = None
    """Of a tuned model: how it was made."""
    checkpoint_step: int | None = None
    """Of a state that a run passed through, beside the model that it ships."""
    proof_status: ProofStatus | None = None
    proof: dict[str, Any] | None = None
    base_heldout_loss: float | None = None
    tuned_heldout_loss: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """All that the runtime must know about the model asked for."""

    model_id: str
    base_model: str
    adapter: AdapterRef | None
    quantization: Literal["nf4"] | None
    unproved: str | None = None
    """The workspace that owns the adapter, while it is not proved: then it answers only after the proof."""


def list_models(session: Session, *, workspace_id: str, settings: Settings) -> list[ServedModel]:
    """Tuned models, newest first, those that others let us use, then the base models that are on disk."""
    own = adapters.list_adapters(session, workspace_id=workspace_id)
    shared = permissions.shared_with(session, workspace_id=workspace_id)
    tuned = [_tuned(adapter, settings, for_workspace=workspace_id) for adapter in [*own, *shared]]
    bases = [_base(model, settings) for model in base_models.list_base_models()]
    return tuned + [model for model in bases if model.is_ready]


def get_model(session: Session, *, workspace_id: str, model_id: str, settings: Settings) -> ServedModel:
    """Raises `NotFound` (`model_not_found`)."""
    base = _find_base(model_id)
    if base is not None:
        return _base(base, settings)
    adapter = permissions.get_usable(session, workspace_id=workspace_id, model_id=model_id)
    return _tuned(adapter, settings, for_workspace=workspace_id)


def delete_model(session: Session, *, principal: Principal, model_id: str) -> None:
    """Take a tuned model out of use. Raises `Invalid` for a base model and `NotFound` for an unknown one."""
    if _find_base(model_id) is not None:
        raise Invalid(
            f"{model_id} is a base model and belongs to the installation; only tuned models can be deleted.",
            code="base_model_not_deletable",
            param="model",
        )
    adapter = adapters.delete(session, workspace_id=principal.workspace_id, model_id=model_id)
    audit.record(session, principal=principal, action="model.deleted", target_id=adapter.model_id)


def restore_model(session: Session, *, principal: Principal, model_id: str, settings: Settings) -> ServedModel:
    """Bring a deleted model back."""
    adapter = adapters.restore(session, workspace_id=principal.workspace_id, model_id=model_id)
    audit.record(session, principal=principal, action="model.restored", target_id=adapter.model_id)
    return _tuned(adapter, settings, for_workspace=principal.workspace_id)


def resolve(session: Session, *, workspace_id: str, model_id: str, settings: Settings, blobs: BlobStore) -> Target:
    """What to ask the runtime for.

    Raises `NotFound` for an unknown model, `Unavailable` for one whose base model is not on disk, and `Invalid` for one
    that is no adapter (`model_not_served`) or whose proof failed (`model_proof_failed`).
    """
    base = _find_base(model_id)
    if base is not None:
        _need_on_disk(base.id, settings)
        return Target(model_id=model_id, base_model=base.id, adapter=None, quantization=None)
    adapter = permissions.get_usable(session, workspace_id=workspace_id, model_id=model_id)
    if adapter.method == _WHOLE_MODEL:
        raise Invalid(
            f"{model_id} was made by full fine-tuning: it is a whole model of its own, and only adapters on a shared "
            "base are served here. Load its files with transformers or a model server, or train with a method that "
            "makes an adapter, such as LoRA.",
            code="model_not_served",
            param="model",
        )
    if adapter.proof_status is ProofStatus.FAILED:
        proof = adapter.proof or {}
        raise proof_failed(model_id, proof.get("code"), proof.get("reason"))
    return target_of(adapter, settings=settings, blobs=blobs)


def target_of(adapter: Adapter, *, settings: Settings, blobs: BlobStore) -> Target:
    """What the runtime must know of it, whatever its proof came to. Raises `Unavailable` without its base model."""
    _need_on_disk(adapter.base_model, settings)
    return Target(
        model_id=adapter.model_id,
        base_model=adapter.base_model,
        adapter=adapter_ref(adapter.id, adapter.digest, adapters.files_of(adapter), blobs),
        quantization=cast("Literal['nf4'] | None", adapter.quantization),
        unproved=adapter.workspace_id if adapter.proof_status is ProofStatus.PENDING else None,
    )


def adapter_ref(adapter_id: str, digest: str, files: Sequence[adapters.AdapterFile], blobs: BlobStore) -> AdapterRef:
    """The adapter as the runtime fetches it."""
    return AdapterRef(
        id=adapter_id,
        digest=digest,
        files=tuple(
            AdapterFile(
                name=file.name,
                url=blobs.sign_get(file.key, expires_s=_URL_EXPIRES_S),
                sha256=file.sha256,
                num_bytes=file.num_bytes,
            )
            for file in files
        ),
    )


def proof_failed(model_id: str, code: str | None, reason: str | None) -> Invalid:
    return Invalid(
        f"{model_id} is not put to use, since it was not proved to answer as it was trained. {reason or ''}".strip(),
        code="model_proof_failed",
        param="model",
        details={"proof_code": code},
    )


def meter(
    session: Session,
    *,
    workspace_id: str,
    completion_id: str,
    seconds: float,
    num_tokens: int,
    created_by: str | None,
    hardware: str = CPU,
    model: str | None = None,
    alias: str | None = None,
) -> None:
    """Enter one answer in the ledger, once however often this is called for the same completion.

    It is priced as what the runtime says it runs on; hardware that nobody has priced counts as a processor.
    """
    try:
        price = usage.price_at(session, hardware=hardware)
    except NotFound:
        price = usage.price_at(session, hardware=CPU)
    usage.record(
        session,
        workspace_id=workspace_id,
        kind="inference",
        source_id=completion_id,
        amount_micros=priced(price.micros_per_hour, seconds),
        seconds=seconds,
        tokens=num_tokens,
        created_by=created_by,
        model=model,
        alias=alias,
    )


def _find_base(model_id: str) -> BaseModel | None:
    try:
        return base_models.get(model_id)
    except NotFound:
        return None


def _base(model: BaseModel, settings: Settings) -> ServedModel:
    return ServedModel(
        id=model.id,
        kind="base",
        name=model.name,
        base_model=model.id,
        owned_by=_OWNER_OF_BASE_MODELS,
        is_ready=base_models.is_ready(settings, model.id),
    )


def _tuned(adapter: Adapter, settings: Settings, *, for_workspace: str) -> ServedModel:
    """To others than its owner a model is what can be talked to: where it came from stays the owner's."""
    is_own = adapter.workspace_id == for_workspace
    return ServedModel(
        id=adapter.model_id,
        kind="tuned",
        name=(adapter.name if is_own else None) or adapter.model_id,
        base_model=adapter.base_model,
        owned_by=adapter.workspace_id,
        is_ready=adapter.method != _WHOLE_MODEL
        and adapter.proof_status is not ProofStatus.FAILED
        and _find_base(adapter.base_model) is not None
        and base_models.is_ready(settings, adapter.base_model),
        created_at=adapter.created_at,
        is_shared=not is_own,
        origin=adapter.origin if is_own else None,
        lineage=adapter.lineage if is_own else None,
        run_id=adapter.run_id if is_own else None,
        method=adapter.method if is_own else None,
        checkpoint_step=adapter.checkpoint_step if is_own else None,
        proof_status=adapter.proof_status,
        proof=adapter.proof if is_own else None,
        base_heldout_loss=adapter.metrics.get("base_heldout_loss") if is_own else None,
        tuned_heldout_loss=adapter.metrics.get("tuned_heldout_loss") if is_own else None,
    )


def _need_on_disk(base_model: str, settings: Settings) -> None:
    if not base_models.is_ready(settings, base_model):
        raise Unavailable(
            f"The base model {base_model} is not on this machine's disk yet. If it was just installed it is being "
            "prepared; try again in a minute. Otherwise an admin has to add it.",
            code="model_not_ready",
        )
