"""For load balancers and supervisors; open to all, and silent about everything but up or down."""

import time
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy.exc import SQLAlchemyError

from api.dependencies import DatabaseDep, SettingsDep
from api.health.storage import StorageProbe
from api.retries import RetriedRoute
from api.schemas import ResponseBody
from core.config import Settings
from core.db.health import newest_revision, schema_revision
from core.db.session import SYSTEM, Database
from core.monitoring import queues

router = APIRouter(tags=["health"], route_class=RetriedRoute)

DatabaseState = Literal["ok", "unavailable", "not_migrated"]
QueueState = Literal["ok", "stuck", "unknown"]


def _storage_probe(request: Request) -> StorageProbe:
    found: StorageProbe = request.app.state.storage_probe
    return found


def _up_s(request: Request) -> float:
    started_s: float = request.app.state.started_s
    return time.monotonic() - started_s


class HealthBody(ResponseBody):
    status: Literal["ok"] = "ok"


class ReadyBody(ResponseBody):
    status: Literal["ready", "unavailable"]
    database: DatabaseState
    storage: Literal["ok", "unavailable"]
    queue: QueueState


@router.get("/v1/health")
def get_health() -> HealthBody:
    """The process answers."""
    return HealthBody()


@router.get("/v1/ready", responses={503: {"model": ReadyBody, "description": "Not ready, and what is missing."}})
def get_readiness(
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    probe: Annotated[StorageProbe, Depends(_storage_probe)],
    up_s: Annotated[float, Depends(_up_s)],
) -> ReadyBody:
    """What it depends on answers too, and jobs that wait are taken; 503 if not."""
    database_state = _database_state(database)
    queue = _queue_state(database, settings, up_s) if database_state == "ok" else "unknown"
    storage: Literal["ok", "unavailable"] = "ok" if probe.passes() else "unavailable"
    is_ready = (database_state, storage, queue) == ("ok", "ok", "ok")
    if not is_ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return ReadyBody(
        status="ready" if is_ready else "unavailable", database=database_state, storage=storage, queue=queue
    )


def _database_state(database: Database) -> DatabaseState:
    try:
        return "ok" if schema_revision(database) == newest_revision() else "not_migrated"
    except SQLAlchemyError:
        return "unavailable"


def _queue_state(database: Database, settings: Settings, up_s: float) -> QueueState:
    try:
        with database.session(SYSTEM) as session:
            return "stuck" if queues.stuck_queues(session, settings=settings, up_s=up_s) else "ok"
    except SQLAlchemyError:
        return "unknown"
