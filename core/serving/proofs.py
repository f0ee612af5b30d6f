"""The proof that a model answers as it was trained, before it answers anybody (`docs/base-models.md`).

The trainer writes down what it computed; the inference runtime, which will serve the model, compares. A worker asks for
it when a run is done; where the runtime could not be reached then, the first who talks to the model waits for it.
No session is open while the runtime works.
"""

from collections.abc import Sequence

from core.adapters import service as adapters
from core.adapters.service import AdapterFile
from core.adapters.types import PARITY_FILE, ProofStatus
from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.config import Settings
from core.db.session import Database, workspace_scope
from core.errors import Invalid
from core.inference.client import InferenceClient
from core.inference.types import Proof, ProofRequest
from core.serving import service as serving
from core.serving.service import ServedModel, Target, adapter_ref
from core.workspaces.principal import Principal


def prove_published(
    inference: InferenceClient,
    blobs: BlobStore,
    *,
    source_id: str,
    digest: str,
    files: Sequence[AdapterFile],
    base_model: str,
    quantization: str | None,
) -> Proof | None:
    """Of an adapter of a run or an import, stored and not entered yet; None if there is nothing to compare with.

    Raises `Unavailable` or `RateLimited` where the runtime cannot be asked now.
    """
    if all(file.name != PARITY_FILE for file in files):
        return None
    ref = adapter_ref(source_id, digest, files, blobs)
    request = {"base_model": base_model, "adapter": ref, "quantization": quantization}
    return inference.prove(ProofRequest.model_validate(request))


def prove_if_needed(database: Database, inference: InferenceClient, target: Target) -> None:
    """Before the first answer of a model. Raises `Invalid` (`model_proof_failed`), and what the runtime raises."""
    if target.unproved is None or target.adapter is None:
        return
    request = ProofRequest(base_model=target.base_model, adapter=target.adapter, quantization=target.quantization)
    proof = inference.prove(request)
    with database.session(workspace_scope(target.unproved)) as session:
        adapters.note_proof(session, workspace_id=target.unproved, adapter_id=target.adapter.id, proof=proof)
    if not proof.is_passed:
        raise serving.proof_failed(target.model_id, proof.code, proof.reason)


def prove_again(
    database: Database,
    inference: InferenceClient,
    *,
    principal: Principal,
    model_id: str,
    settings: Settings,
    blobs: BlobStore,
) -> ServedModel:
    """Check a tuned model of one's own once more, whatever came out before: a base that was put right may be why.

    Raises `NotFound`, `Invalid` where there is nothing to check, and what the runtime raises.
    """
    scope = workspace_scope(principal.workspace_id)
    with database.session(scope) as session:
        adapter = adapters.get_by_model_id(session, workspace_id=principal.workspace_id, model_id=model_id)
        if adapter.proof_status is ProofStatus.NONE:
            raise Invalid(
                f"{model_id} was made before its trainer wrote down what to compare with: nothing can be checked.",
                code="proof_missing",
                param="model",
            )
        target = serving.target_of(adapter, settings=settings, blobs=blobs)
    if target.adapter is None:
        raise AssertionError(model_id)
    request = ProofRequest(base_model=target.base_model, adapter=target.adapter, quantization=target.quantization)
    proof = inference.prove(request)
    with database.session(scope) as session:
        adapters.note_proof(session, workspace_id=principal.workspace_id, adapter_id=target.adapter.id, proof=proof)
        audit.record(
            session,
            principal=principal,
            action="model.proved",
            target_id=model_id,
            details={"is_passed": proof.is_passed, "code": proof.code},
        )
        return serving.get_model(session, workspace_id=principal.workspace_id, model_id=model_id, settings=settings)
