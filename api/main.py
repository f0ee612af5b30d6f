"""The application: settings in, routes out. Nothing here reads the environment."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api.aliases.routes import router as aliases
from api.api_keys.routes import router as api_keys
from api.audit.routes import router as audit
from api.auth.oidc_routes import router as oidc
from api.auth.reset_routes import router as password_resets
from api.auth.routes import router as auth
from api.chat.kept import router as kept_completions
from api.chat.metrics import ChatMetrics
from api.chat.routes import router as chat
from api.column_mappings.routes import router as column_mappings
from api.datasets.finding_routes import router as dataset_findings
from api.datasets.lineage_routes import router as dataset_lineage
from api.datasets.routes import router as datasets
from api.datasets.row_routes import router as dataset_rows
from api.datasets.scaling_routes import router as dataset_scaling
from api.datasets.version_routes import router as dataset_versions
from api.description import describe
from api.erasures.routes import router as erasures
from api.errors import add_error_handlers
from api.files.import_routes import router as file_imports
from api.files.routes import router as files
from api.fine_tuning.feed import Feeds
from api.fine_tuning.permissions import router as checkpoint_permissions
from api.fine_tuning.routes import router as fine_tuning
from api.health.routes import router as health
from api.health.storage import StorageProbe
from api.invitations.routes import router as invitations
from api.members.routes import router as members
from api.middleware import BodyLimit, RequestContext
from api.model_exports.routes import router as model_exports
from api.model_imports.routes import router as model_imports
from api.models.routes import router as models
from api.monitoring.http_metrics import HttpMetrics, RequestMetrics
from api.monitoring.metrics import router as metrics
from api.monitoring.routes import router as monitoring
from api.preferences.routes import router as preferences
from api.profile.routes import router as profile
from api.profile.totp_routes import router as totp
from api.rate_limits import RateLimits
from api.request_log.routes import router as request_log
from api.retries import RetriedRoute
from api.samples.routes import router as samples
from api.schemas import ErrorBody
from api.service_accounts.routes import router as service_accounts
from api.setup.routes import router as setup
from api.turns import DatabaseTurns
from api.uploads.routes import router as uploads
from api.usage.routes import router as usage
from api.web_page import WebPage
from api.webhooks.routes import router as webhooks
from api.workspaces.routes import router as workspaces
from core.backends.registry import Backends, build_backends
from core.config import Settings
from core.db.session import Database
from core.erasures.withholding import Withholding
from core.identity.oidc.provider import OidcProvider
from core.monitoring.metrics.service import LedgerTotals
from core.serving.aliases.shadows import Shadows
from core.serving.completions.keeper import CompletionKeeper

# tried in this order: what is asked most comes first
_ROUTERS: tuple[APIRouter, ...] = (
    fine_tuning,
    chat,
    models,
    model_exports,
    model_imports,
    aliases,
    files,
    file_imports,
    api_keys,
    audit,
    auth,
    oidc,
    password_resets,
    kept_completions,
    preferences,
    request_log,
    checkpoint_permissions,
    health,
    invitations,
    members,
    profile,
    totp,
    setup,
    monitoring,
    metrics,
    column_mappings,
    datasets,
    dataset_versions,
    dataset_scaling,
    dataset_rows,
    dataset_findings,
    dataset_lineage,
    erasures,
    samples,
    service_accounts,
    uploads,
    usage,
    webhooks,
    workspaces,
)

# with the pool's overflow of 5, as many as the threads that sync routes run in
_POOL_SIZE = 35
# answers that are on their way to the database when the process is told to end
_KEPT_WITHIN_S = 5.0


def create_app(
    settings: Settings,
    database: Database | None = None,
    backends: Backends | None = None,
    inference: object | None = None,
) -> FastAPI:
    """Build the app. What is not given is built from the settings; tests give their own."""
    app = FastAPI(
        title="Tailorbird",
        version="1",
        openapi_url="/v1/openapi.json",
        # the interactive pages load scripts from elsewhere, which our content policy forbids
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # we have metrics of our own, and this looks for others anew with every request
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    app.state.owns_database = database is None
    app.state.database = database or Database(settings.database_url, pool_size=_POOL_SIZE)
    app.state.database_turns = DatabaseTurns(app.state.database.num_connections)
    app.state.backends = backends or build_backends(settings)
    app.state.inference = inference
    app.state.feeds = Feeds(app.state.database, app.state.backends.events)
    gate = Withholding(settings.sealer())
    app.state.completion_keeper = CompletionKeeper(app.state.database, gate=gate)
    app.state.shadows = Shadows(app.state.database, gate=gate)
    app.state.started_s = time.monotonic()
    app.state.oidc_provider = OidcProvider(settings)
    app.state.storage_probe = StorageProbe(app.state.backends.blobs)
    app.state.http_metrics = HttpMetrics()
    app.state.chat_metrics = ChatMetrics(app.state.http_metrics.registry)
    app.state.ledger_totals = LedgerTotals()
    add_error_handlers(app)
    app.router.route_class = RetriedRoute
    app.router.routes.extend(_routes())
    describe(app, settings)
    # the last added is the outermost
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(RateLimits, limiter=app.state.backends.limits, settings=settings)
    app.add_middleware(WebPage, directory=settings.frontend_dist)
    app.add_middleware(RequestContext, settings=settings)
    app.add_middleware(RequestMetrics, metrics=app.state.http_metrics)
    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Of all routers, once a process: FastAPI works a fifth of a second on them, and they know nothing of settings."""
    table = FastAPI(
        openapi_url=None,
        generate_unique_id_function=_operation_id,
        responses={"default": {"model": ErrorBody, "description": "A refusal or a failure."}},
    )
    for router in _ROUTERS:
        table.include_router(router)
    return tuple(table.router.routes)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.completion_keeper.flush(timeout_s=_KEPT_WITHIN_S)
    await app.state.backends.limits.close()
    if app.state.owns_database:
        app.state.database.dispose()


def _operation_id(route: APIRoute) -> str:
    return route.name
