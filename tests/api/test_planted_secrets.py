"""Secrets planted wherever a client or a server can put one, then looked for in all that is logged, told or kept."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.main import create_app
from core.backends.blobs import S3BlobStore
from core.backends.events import RedisEventBus
from core.backends.limits import RedisRateLimiter
from core.backends.queue import CeleryTaskQueue
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database, workspace_scope
from core.workspaces.principal import Principal
from tests.api.routes_of import Route, routes_of
from tests.conftest import key_headers
from tests.factories.planted import MARK, Planted, kept_in, logged
from tests.factories.training import make_file

pytestmark = pytest.mark.stack

Headers = dict[str, str]
KEPT = ("audit_events", "job_logs", "job_events", "jobs", "job_attempts")


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def secretive(settings: Settings, planted: Planted) -> Settings:
    """Every setting that is a secret is one that we know."""
    return settings.model_copy(
        update={
            "secret_key": planted.secret("secret key"),
            "inference_token": planted.secret("inference token"),
            "worker_token": planted.secret("worker token"),
            "smtp_url": f"smtp://mail:{planted.secret('smtp')}@127.0.0.1:1",
        }
    )


@pytest.fixture
def broken(secretive: Settings, planted: Planted) -> Settings:
    """Servers that do not answer, each reached with a secret."""
    return secretive.model_copy(
        update={
            "database_url": f"postgresql+psycopg://app:{planted.secret('database')}@127.0.0.1:1/none",
            "redis_url": f"redis://:{planted.secret('redis')}@127.0.0.1:1/0",
            "s3_endpoint_url": "http://127.0.0.1:1",
            "s3_access_key_id": planted.secret("s3 key"),
            "s3_secret_access_key": planted.secret("s3 secret"),
        }
    )


def with_servers_away(backends: Backends, broken: Settings) -> Backends:
    return replace(
        backends,
        blobs=S3BlobStore(broken),
        queue=CeleryTaskQueue(broken),
        events=RedisEventBus(broken),
        limits=RedisRateLimiter(broken),
    )


def hostile(planted: Planted, route: Route, headers: Headers) -> dict[str, Any]:
    """A request that has a secret in each of its parts."""
    place = str(route)
    body = {
        "email": "somebody@example.com",
        "password": planted.secret(f"{place}: password"),
        "current_password": planted.secret(f"{place}: current password"),
        "new_password": planted.secret(f"{place}: new password"),
        "token": planted.secret(f"{place}: token"),
        "api_key": planted.secret(f"{place}: api key"),
        "url": f"https://user:{planted.secret(f'{place}: url')}@example.com/hook",
        "name": "a name",
    }
    sent = {
        "x-api-key": planted.secret(f"{place}: x-api-key"),
        "x-csrf-token": planted.secret(f"{place}: csrf"),
        "cookie": f"other={planted.secret(f'{place}: cookie')}; "
        f"tailorbird_session={planted.secret(f'{place}: session')}",
        "user-agent": f"program token={planted.secret(f'{place}: user agent')}",
        "referer": f"https://example.com/?token={planted.secret(f'{place}: referer')}",
    }
    return {
        "headers": sent | headers,
        "params": {
            "token": planted.secret(f"{place}: query"),
            "X-Amz-Signature": planted.secret(f"{place}: signature"),
        },
        "json": body if route.method in {"POST", "PUT", "PATCH"} else None,
    }


def ask_all(client: TestClient, app: FastAPI, planted: Planted, headers: Headers) -> Iterator[tuple[Route, str]]:
    for route in routes_of(app):
        if "stream" in route.path:
            continue
        answer = client.request(
            route.method, route.url(dict.fromkeys(route.parameters, "unknown")), **hostile(planted, route, headers)
        )
        yield route, answer.text


def bearer(secret: str) -> Headers:
    return {"authorization": f"Bearer {secret}"}


def test_no_route_logs_tells_or_keeps_what_it_was_sent(
    secretive: Settings,
    database: Database,
    backends: Backends,
    owner_engine: Engine,
    principal: Principal,
    planted: Planted,
) -> None:
    key = key_headers(database, principal)["authorization"].removeprefix("Bearer ")
    planted.by_place["a valid key"] = key
    callers = [bearer(key), bearer(f"tb_live_{planted.secret('a wrong key')}"), {}]
    app = create_app(secretive, database, backends)
    told: dict[str, list[str]] = {}
    with logged() as log, TestClient(app, base_url="http://127.0.0.1:8700") as client:
        for caller in callers:
            for route, text in ask_all(client, app, planted, caller):
                if found := planted.found_in(text):
                    told[str(route)] = found
    assert '"route":"/v1/files"' in log.getvalue()
    # what is said to the one who said it: a refused value may be named, a secret one may not
    assert told == {}
    assert planted.found_in(log.getvalue()) == []
    assert planted.found_in(kept_in(owner_engine, *KEPT)) == []


def test_servers_that_are_away_take_their_secrets_with_them(
    broken: Settings, database: Database, backends: Backends, principal: Principal, planted: Planted
) -> None:
    key = key_headers(database, principal)["authorization"].removeprefix("Bearer ")
    planted.by_place["a valid key"] = key
    blind = Database(broken.database_url)
    app = create_app(broken, blind, with_servers_away(backends, broken))
    with logged() as log, TestClient(app, base_url="http://127.0.0.1:8700") as client:
        told = {str(route): text for route, text in ask_all(client, app, planted, bearer(key)) if MARK in text}
    assert "the database does not answer" in log.getvalue()
    assert told == {}
    assert planted.found_in(log.getvalue()) == []


def test_an_object_store_that_is_away_takes_its_secrets_with_it(
    broken: Settings, database: Database, backends: Backends, principal: Principal, planted: Planted
) -> None:
    with database.session(workspace_scope(principal.workspace_id)) as session:
        file_id = make_file(session, principal.workspace_id).id
    app = create_app(broken, database, with_servers_away(backends, broken))
    headers = key_headers(database, principal)
    with logged() as log, TestClient(app, base_url="http://127.0.0.1:8700", raise_server_exceptions=False) as client:
        answers = [client.get(f"/v1/files/{file_id}/content", headers=headers), client.get("/v1/ready")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert planted.found_in(log.getvalue() + "".join(answer.text for answer in answers)) == []


@pytest.mark.parametrize(
    "message",
    [
        "connect to postgresql://app:{}@db/t failed",
        "GET https://s3/b/k?X-Amz-Signature={}&x=1: 403",
        "refused key tb_live_{}",
        "headers {{'authorization': 'Bearer {}'}}",
        "Settings(secret_key='{}')",
    ],
)
def test_a_bug_that_quotes_a_secret_keeps_it_to_itself(
    secretive: Settings, database: Database, backends: Backends, planted: Planted, message: str
) -> None:
    app = create_app(secretive, database, backends)

    @app.get("/v1/bug")
    def fail() -> None:
        raise RuntimeError(message.format(planted.secret("in an exception")))

    with logged() as log, TestClient(app) as client:
        answer = client.get("/v1/bug")
    assert answer.status_code == 500
    assert "RuntimeError" in log.getvalue()
    assert planted.found_in(log.getvalue() + answer.text) == []
