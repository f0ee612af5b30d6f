"""For load balancers and supervisors; open to all, and silent about everything but up or down."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import BackendsDep, DatabaseDep
from api.schemas import ResponseBody
from core.db.health import newest_revision, schema_revision
from core.errors import Unavailable

router = APIRouter(tags=["health"])

_PROBE_KEY = "health/probe"


class HealthBody(ResponseBody):
    status: Literal["ok"] = "ok"


class ReadyBody(ResponseBody):
    status: Literal["ready", "unavailable"]
    database: Literal["ok", "unavailable", "not_migrated"]
    storage: Literal["ok", "unavailable"]


@router.get("/v1/health")
def get_health() -> HealthBody:
    """The process answers."""
    return HealthBody()


@router.get("/v1/ready")
def get_readiness(response: Response, database: DatabaseDep, backends: BackendsDep) -> ReadyBody:
    """What it depends on answers too; 503 if not."""
    try:
        found = "ok" if schema_revision(database) == newest_revision() else "not_migrated"
    except SQLAlchemyError:
        found = "unavailable"
    try:
        backends.blobs.info(_PROBE_KEY)
        storage = "ok"
    except Unavailable:
        storage = "unavailable"
    is_ready = (found, storage) == ("ok", "ok")
    if not is_ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return ReadyBody.model_validate(
        {"status": "ready" if is_ready else "unavailable", "database": found, "storage": storage}
    )
