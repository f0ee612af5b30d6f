"""What leaves the database says whose it is: objects, news, doorbells' jobs, and lines of the log."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from core.backends.blobs import S3BlobStore
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.kit.logs import JsonFormatter
from core.workspaces.principal import Principal
from tests.api.seeded import Things, seed

pytestmark = pytest.mark.stack


@pytest.fixture
def things(
    client: TestClient, database: Database, settings: Settings, principal: Principal, as_admin: dict[str, str]
) -> Things:
    workspace_id = principal.workspace_id
    return seed(client, database, settings, headers=as_admin, workspace_id=workspace_id, worker="w-1-aaaaaaaa")


@contextmanager
def logged(name: str = "") -> Iterator[list[dict[str, object]]]:
    """The lines as the process writes them."""
    lines: list[dict[str, object]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(json.loads(self.format(record)))

    handler, logger = Kept(), logging.getLogger(name)
    handler.setFormatter(JsonFormatter())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def test_the_key_of_every_object_begins_with_its_workspace(things: Things, blobs: S3BlobStore) -> None:
    made = [key for key in blobs.keys("") if things.file in key or things.workspace in key]
    assert made
    assert [key for key in made if not key.startswith(f"workspaces/{things.workspace}/")] == []


def test_the_channel_of_all_news_names_the_workspace(
    client: TestClient, as_admin: dict[str, str], things: Things, backends: Backends
) -> None:
    client.post(f"/v1/fine_tuning/jobs/{things.run}/cancel", headers=as_admin)
    published: list[str] = vars(backends.events)["published"]
    assert published
    assert [channel for channel in published if not channel.startswith(f"workspace:{things.workspace}:")] == []


def test_every_doorbell_is_of_a_row_that_has_a_workspace(
    things: Things, backends: Backends, database: Database
) -> None:
    rung: list[tuple[str, str]] = vars(backends.queue)["rung"]
    assert rung
    with database.session(SYSTEM) as session:
        owners = session.scalars(
            text("select workspace_id from jobs where id = any(:ids)"), {"ids": [job_id for _, job_id in rung]}
        ).all()
    assert (len(owners), set(owners)) == (len(rung), {things.workspace})


def test_every_line_that_a_request_logs_names_the_workspace_once_it_is_known(
    client: TestClient, as_admin: dict[str, str], things: Things
) -> None:
    with logged("api") as lines:
        client.get("/v1/files/file-unknown", headers=as_admin | {"x-request-id": "request-1"})
        client.get("/v1/files", headers={"x-request-id": "request-2"})
    assert {line["message"] for line in lines} == {"refused: file_not_found", "refused: not_signed_in", "request"}
    of_us = [line for line in lines if line["correlation_id"] == "request-1"]
    assert [line["workspace_id"] for line in of_us] == [things.workspace, things.workspace]
    assert {line.get("workspace_id") for line in lines if line["correlation_id"] == "request-2"} == {None}
