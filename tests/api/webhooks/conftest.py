import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvicorn
from fastapi import FastAPI
from openai import OpenAI

from core.backends.outbound import OutboundClient
from core.backends.registry import Backends
from core.kit.ssrf import Rules
from tests.factories.receiver import Receiver, receiver


@pytest.fixture
def backends(backends: Backends) -> Backends:
    """As an installation whose admin allows this machine."""
    rules = Rules.parse(allow="127.0.0.0/8", ports="443", needs_https=True)
    return replace(backends, outbound=OutboundClient(rules))


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def ai(app: FastAPI, as_admin: dict[str, str]) -> Iterator[OpenAI]:
    """The official client, against the API in a thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        key = as_admin["authorization"].removeprefix("Bearer ")
        with OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
            yield client
        server.should_exit = True
        thread.join(timeout=10)
