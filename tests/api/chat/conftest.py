import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from openai import OpenAI

from core.config import Settings
from core.db.session import SYSTEM, Database
from core.serving.completions.keeper import CompletionKeeper
from core.usage.models import LedgerEntry
from core.workspaces.roles import Role
from tests.conftest import key_headers, make_principal
from tests.factories.inference import FakeInference
from tests.factories.training import put_base_model_on_disk

Headers = dict[str, str]
Ask = Callable[..., Response]
HELLO: Any = [{"role": "user", "content": "Hello"}]


def ledger(database: Database) -> list[LedgerEntry]:
    with database.session(SYSTEM) as session:
        return list(session.query(LedgerEntry))


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def usage(completion_tokens: int) -> dict[str, Any]:
    """What an answer of `FakeInference` says was used."""
    return {
        "prompt_tokens": 7,
        "completion_tokens": completion_tokens,
        "total_tokens": 7 + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 5},
    }


@pytest.fixture
def inference() -> FakeInference:
    return FakeInference()


@pytest.fixture
def model(settings: Settings) -> str:
    return put_base_model_on_disk(settings)


@pytest.fixture
def as_reviewer(database: Database, workspace_id: str) -> Headers:
    """The least who may talk to models."""
    return key_headers(database, make_principal(database, workspace_id, Role.REVIEWER))


@pytest.fixture
def ask(client: TestClient, as_reviewer: Headers, model: str) -> Ask:
    def _ask(**body: object) -> Response:
        asked = {"model": model, "messages": HELLO} | body
        return client.post("/v1/chat/completions", headers=as_reviewer, json=asked)

    return _ask


@pytest.fixture
def keeper(app: FastAPI) -> CompletionKeeper:
    found: CompletionKeeper = app.state.completion_keeper
    return found


@pytest.fixture
def ai(app: FastAPI, as_member: Headers) -> Iterator[OpenAI]:
    """The real client, against the API in a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        port = listener.getsockname()[1]
        key = as_member["authorization"].removeprefix("Bearer ")
        with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0) as client:
            yield client
        server.should_exit = True
        thread.join(timeout=10)
