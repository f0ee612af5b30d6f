"""Models by the id that chat asks for. Ids hold colons, and clients may send slashes, hence the path parameter."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.dependencies import BackendsDep, DatabaseDep, InferenceDep, SessionDep, SettingsDep, require
from api.models.schemas import (
    DeletedModelBody,
    ModelBody,
    ModelListBody,
    ModelTrafficBody,
    model_body,
    traffic_body,
)
from api.retries import RetriedRoute
from core.serving import catalogue, proofs
from core.serving import service as serving
from core.serving.traffic import service as traffic
from core.serving.traffic.types import MAX_DAYS
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=RetriedRoute)

Reader = Annotated[Principal, Depends(require(Permission.MODELS_READ))]
Writer = Annotated[Principal, Depends(require(Permission.MODELS_WRITE))]


@router.get("")
def list_models(principal: Reader, session: SessionDep, settings: SettingsDep) -> ModelListBody:
    """Aliases, tuned models, newest first, then base models."""
    found = catalogue.list_models(session, workspace_id=principal.workspace_id, settings=settings)
    return ModelListBody(data=[model_body(model) for model in found])


# before the model itself, whose path would take the word for a part of an id
@router.get("/{model:path}/traffic")
def get_model_traffic(
    model: str,
    principal: Annotated[Principal, Depends(require(Permission.USAGE_READ))],
    session: SessionDep,
    settings: SettingsDep,
    days: Annotated[int, Query(ge=1, le=MAX_DAYS, description="Today and the days before it, in UTC.")] = 7,
) -> ModelTrafficBody:
    """How much this workspace asks of a model or an alias: requests, errors, how long answers take, tokens a day."""
    found = traffic.of_model(session, workspace_id=principal.workspace_id, model_id=model, days=days, settings=settings)
    return traffic_body(model, found)


@router.get("/{model:path}")
def retrieve_model(model: str, principal: Reader, session: SessionDep, settings: SettingsDep) -> ModelBody:
    found = catalogue.get_model(session, workspace_id=principal.workspace_id, model_id=model, settings=settings)
    return model_body(found)


@router.delete("/{model:path}")
def delete_model(model: str, principal: Writer, session: SessionDep) -> DeletedModelBody:
    """Take a tuned model out of use. `restore` brings it back."""
    catalogue.delete_model(session, principal=principal, model_id=model)
    return DeletedModelBody(id=model)


@router.post("/{model:path}/prove")
def prove_model(
    model: str,
    principal: Writer,
    database: DatabaseDep,
    settings: SettingsDep,
    backends: BackendsDep,
    inference: InferenceDep,
) -> ModelBody:
    """Check once more that a tuned model answers as it was trained; `proof` has what came out."""
    found = proofs.prove_again(
        database, inference, principal=principal, model_id=model, settings=settings, blobs=backends.blobs
    )
    return model_body(found)


@router.post("/{model:path}/restore")
def restore_model(model: str, principal: Writer, session: SessionDep, settings: SettingsDep) -> ModelBody:
    """Bring a deleted model back."""
    return model_body(serving.restore_model(session, principal=principal, model_id=model, settings=settings))
