import pytest
from fastapi.testclient import TestClient

from api.main import create_app
from core.backends.blobs import MemoryBlobStore
from core.backends.events import RecordingEventBus
from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database


def test_alive_needs_nothing_and_ready_says_what_is_missing() -> None:
    backends = Backends(blobs=MemoryBlobStore(), queue=RecordingTaskQueue(), events=RecordingEventBus())
    app = create_app(Settings(), Database("postgresql+psycopg://nobody@127.0.0.1:1/none"), backends)
    with TestClient(app) as client:
        assert client.get("/v1/health").json() == {"status": "ok"}
        answer = client.get("/v1/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "database": "unavailable", "storage": "ok"}


@pytest.mark.stack
def test_with_its_servers_it_is_ready(client: TestClient) -> None:
    assert client.get("/v1/ready").json() == {"status": "ready", "database": "ok", "storage": "ok"}
