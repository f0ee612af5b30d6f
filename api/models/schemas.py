from typing import Literal

from pydantic import Field

from api.schemas import ResponseBody
from core.kit.clock import unix_s
from core.serving.service import ServedModel

# base models are older than this service; the wire wants a number
_UNKNOWN_CREATED = 0


class ModelBody(ResponseBody):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    shutdown_date: str | None = None

    kind: Literal["base", "tuned"] = Field(description="Our extension, like all that follow.")
    name: str
    base_model: str
    run_id: str | None
    method: str | None = Field(description="How a tuned model was made; `full` is no adapter and cannot be talked to.")
    checkpoint_step: int | None = Field(description="Of a checkpoint beside the model that its run ships.")
    base_heldout_loss: float | None
    tuned_heldout_loss: float | None
    is_ready: bool


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
        run_id=model.run_id,
        method=model.method,
        checkpoint_step=model.checkpoint_step,
        base_heldout_loss=model.base_heldout_loss,
        tuned_heldout_loss=model.tuned_heldout_loss,
        is_ready=model.is_ready,
    )
