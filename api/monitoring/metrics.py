from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api.chat.routes import KeeperDep
from api.dependencies import DatabaseDep, InferenceDep, SettingsDep, require
from api.monitoring.exposition import FiguresCollector, LostCompletionsCollector
from api.monitoring.http_metrics import HttpMetrics
from api.monitoring.model_server_metrics import ModelServersCollector
from api.retries import RetriedRoute
from core.db.session import SYSTEM
from core.monitoring import model_servers
from core.monitoring.metrics import service
from core.monitoring.metrics.service import LedgerTotals
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["admin"], route_class=RetriedRoute)


def _ledger_totals(request: Request) -> LedgerTotals:
    found: LedgerTotals = request.app.state.ledger_totals
    return found


def _http_metrics(request: Request) -> HttpMetrics:
    found: HttpMetrics = request.app.state.http_metrics
    return found


@router.get("/metrics", response_class=PlainTextResponse)
def get_metrics(
    principal: Annotated[Principal, Depends(require(Permission.INSTALLATION_ADMIN))],
    database: DatabaseDep,
    settings: SettingsDep,
    inference: InferenceDep,
    ledger: Annotated[LedgerTotals, Depends(_ledger_totals)],
    http_metrics: Annotated[HttpMetrics, Depends(_http_metrics)],
    keeper: KeeperDep,
) -> Response:
    """For Prometheus: queues, workers, jobs and money by the database, model servers, and this process's requests."""
    del principal
    with database.session(SYSTEM) as session:
        figures = service.read(session, settings=settings, ledger=ledger)
    registry = CollectorRegistry()
    registry.register(FiguresCollector(figures))
    registry.register(ModelServersCollector(model_servers.look(inference)))
    registry.register(LostCompletionsCollector(keeper.num_lost))
    return Response(generate_latest(registry) + generate_latest(http_metrics.registry), media_type=CONTENT_TYPE_LATEST)
