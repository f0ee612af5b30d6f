import threading
import time
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.health.storage import StorageProbe
from api.main import create_app
from core.backends.blobs import MemoryBlobStore, S3BlobStore
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from tests.factories.backends import memory_backends


def test_alive_needs_nothing_and_ready_says_what_is_missing() -> None:
    backends = memory_backends()
    app = create_app(Settings(), Database("postgresql+psycopg://nobody@127.0.0.1:1/none"), backends)
    with TestClient(app) as client:
        assert client.get("/v1/health").json() == {"status": "ok"}
        answer = client.get("/v1/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "database": "unavailable",
        "storage": "ok",
        "queue": "unknown",
    }


@pytest.mark.stack
class TestReady:
    def test_with_its_servers_it_is_ready(self, client: TestClient) -> None:
        answer = client.get("/v1/ready")
        assert answer.json() == {"status": "ready", "database": "ok", "storage": "ok", "queue": "ok"}

    def test_it_is_quick(self, client: TestClient) -> None:
        client.get("/v1/ready")
        took_s = []
        for _ in range(10):
            started = time.perf_counter()
            assert client.get("/v1/ready").status_code == 200
            took_s.append(time.perf_counter() - started)
        assert min(took_s) < 0.1

    def test_a_bucket_that_is_not_there_is_noticed(
        self, settings: Settings, database: Database, backends: Backends
    ) -> None:
        blobs = S3BlobStore(settings.model_copy(update={"s3_bucket": "nobody-made-this"}))
        with TestClient(create_app(settings, database, replace(backends, blobs=blobs))) as client:
            answer = client.get("/v1/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "unavailable", "database": "ok", "storage": "unavailable", "queue": "ok"}

    def test_a_stuck_queue_is_not_ready_though_http_is_well(
        self, app: FastAPI, client: TestClient, database: Database, workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            job = jobs.submit(
                session, workspace_id=workspace_id, kind=JobKind.DATASET_INGEST, payload={}, created_by=None
            )
            session.execute(
                text("update jobs set queued_at = now() - interval '1 hour' where id = :id"), {"id": job.id}
            )
        assert client.get("/v1/ready").json()["queue"] == "ok"
        app.state.started_s -= 301
        answer = client.get("/v1/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "unavailable", "database": "ok", "storage": "ok", "queue": "stuck"}
        assert client.get("/v1/health").status_code == 200
        with database.session(SYSTEM) as session:
            jobs.request_cancel(session, workspace_id=workspace_id, job_id=job.id)
        assert client.get("/v1/ready").status_code == 200


def test_a_store_that_answers_nobody_holds_up_one_thread_and_nobody_else() -> None:
    class Silent(MemoryBlobStore):
        def __init__(self) -> None:
            super().__init__()
            self.num_asked = 0
            self.speaks = threading.Event()

        def keys(self, prefix: str) -> list[str]:
            self.num_asked += 1
            self.speaks.wait(30)
            return super().keys(prefix)

    blobs = Silent()
    probe = StorageProbe(blobs)
    assert [probe.passes(timeout_s=0.02) for _ in range(5)] == [False] * 5
    assert blobs.num_asked == 1
    blobs.speaks.set()
    assert probe.passes(timeout_s=10)
