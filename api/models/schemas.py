from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field

from api.schemas import ResponseBody
from core.adapters.types import AdapterOrigin, ProofStatus
from core.kit.clock import unix_s
from core.model_imports.lineage import ImportLineage
from core.serving.service import ServedModel
from core.serving.traffic.types import Latency, Traffic

# base models are older than this service; the wire wants a number
_UNKNOWN_CREATED = 0


class ProofBody(ResponseBody):
    """What the last proof of a model came to; differences are of scores (logits)."""

    is_passed: bool
    code: str | None = Field(description="Why it failed, such as `proof_template_differs`.")
    reason: str | None = Field(description="The same in words, and what to do.")
    num_rows: int
    num_places: int
    max_difference: float | None
    tolerance: float
    typical_difference: float | None = Field(
        None, description="Root mean square, where the rounding of the base is known."
    )
    typical_tolerance: float | None = Field(
        None, description="Three times what rounding does to the base's own scores."
    )
    effect: float | None = Field(description="The largest change that the adapter makes.")
    min_effect: float
    training_dtype: str
    serving_dtype: str
    hardware: str
    fingerprint: str
    template_sha256: str
    tokenizer_sha256: str
    base_sha256: str | None
    seconds: float


class ImportedFromBody(ResponseBody):
    """Who brought a model that was made elsewhere, and what is known of it. What it learned from is not known."""

    by: str = Field(description="The name of whoever brought it, as it was then.")
    at: int
    model_import_id: str
    filenames: list[str]
    weights_sha256: str = Field(description="Of the weights as they were brought.")
    base_evidence: Literal["manifest", "confirmed"] = Field(
        description="How its base model is known: the export's manifest has the same digests, or somebody said so."
    )
    named_base: str | None = Field(description="The base that its configuration names: somebody else's word.")


class LatencyBody(ResponseBody):
    p50_ms: float = Field(description="Half of them were this fast.")
    p95_ms: float = Field(description="All but one in twenty were this fast.")


class TrafficDayBody(ResponseBody):
    date: str = Field(description="Such as `2026-11-23`, in UTC.")
    num_requests: int
    num_failed: int
    prompt_tokens: int
    completion_tokens: int


class TrafficErrorBody(ResponseBody):
    code: str
    num_requests: int


class ModelTrafficBody(ResponseBody):
    object: Literal["model.traffic"] = "model.traffic"
    model: str
    days: int
    num_requests: int = Field(description="Questions that reached the model, however they ended.")
    num_failed: int
    num_cancelled: int = Field(description="Who asked hung up before the end.")
    prompt_tokens: int
    completion_tokens: int
    first_token: LatencyBody | None = Field(description="From a question to its first words; null where none came.")
    whole_answer: LatencyBody | None = Field(description="From a question to the end of its answer.")
    errors: list[TrafficErrorBody] = Field(description="The most frequent, at most five.")
    by_day: list[TrafficDayBody] = Field(description="Every day, the last is today.")


def traffic_body(model: str, traffic: Traffic) -> ModelTrafficBody:
    totals = traffic.totals
    return ModelTrafficBody(
        model=model,
        days=len(traffic.by_day),
        num_requests=totals.num_requests,
        num_failed=totals.num_failed,
        num_cancelled=totals.num_cancelled,
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        first_token=_latency_body(totals.first_token),
        whole_answer=_latency_body(totals.whole_answer),
        errors=[TrafficErrorBody(code=code, num_requests=num) for code, num in traffic.errors],
        by_day=[TrafficDayBody(**asdict(day) | {"date": day.date.isoformat()}) for day in traffic.by_day],
    )


def _latency_body(latency: Latency | None) -> LatencyBody | None:
    return LatencyBody(p50_ms=latency.p50_ms, p95_ms=latency.p95_ms) if latency else None


class ModelBody(ResponseBody):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    shutdown_date: str | None = None

    kind: Literal["base", "tuned", "alias"] = Field(description="Our extension, like all that follow.")
    name: str
    base_model: str
    is_shared: bool = Field(description="Another workspace's, which lets this one talk to it.")
    origin: AdapterOrigin | None = Field(
        description="Of a tuned model of one's own: `trained` by a run here, or `imported` from elsewhere."
    )
    imported: ImportedFromBody | None
    run_id: str | None = Field(description="The run that trained it; null for one that was imported, or is shared.")
    method: str | None = Field(description="How a tuned model was made; `full` is no adapter and cannot be talked to.")
    checkpoint_step: int | None = Field(description="Of a checkpoint beside the model that its run ships.")
    base_heldout_loss: float | None
    tuned_heldout_loss: float | None
    is_ready: bool
    proof_status: ProofStatus | None = Field(
        description="Of a tuned model: was it proved to answer here as it was trained? `failed` answers nobody; "
        "`pending` is proved before its first answer; `none` was made before there were proofs."
    )
    proof: ProofBody | None


class ModelListBody(ResponseBody):
    object: Literal["list"] = "list"
    data: list[ModelBody]


class DeletedModelBody(ResponseBody):
    id: str
    object: Literal["model"] = "model"
    deleted: bool = True


def model_body(model: ServedModel) -> ModelBody:
    return ModelBody(
        id=model.id,
        created=unix_s(model.created_at) if model.created_at else _UNKNOWN_CREATED,
        owned_by=model.owned_by,
        kind=model.kind,
        name=model.name,
        base_model=model.base_model,
        is_shared=model.is_shared,
        origin=model.origin,
        imported=None if model.lineage is None else _imported_from(model.lineage),
        run_id=model.run_id,
        method=model.method,
        checkpoint_step=model.checkpoint_step,
        base_heldout_loss=model.base_heldout_loss,
        tuned_heldout_loss=model.tuned_heldout_loss,
        is_ready=model.is_ready,
        proof_status=model.proof_status,
        proof=None if model.proof is None else ProofBody.model_validate(model.proof),
    )


def _imported_from(lineage: dict[str, Any]) -> ImportedFromBody:
    found = ImportLineage.model_validate(lineage)
    return ImportedFromBody(
        by=found.imported_by,
        at=unix_s(found.imported_at),
        model_import_id=found.import_id,
        filenames=[file.filename for file in found.files],
        weights_sha256=found.weights_sha256,
        base_evidence=found.base_evidence.value,
        named_base=found.named_base,
    )
