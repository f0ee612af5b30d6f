"""The API behind a real socket, with the protocol that its process has, and raw bytes sent to it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from api.server import server_config
from core.config import Settings


@contextlib.contextmanager
def served(app: FastAPI, settings: Settings) -> Iterator[int]:
    """The port it listens on."""
    config = server_config(app, settings, host="127.0.0.1", port=0, shutdown_timeout_s=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=10)


@contextlib.contextmanager
def connection(port: int, *, timeout_s: float = 10) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as made:
        yield made


def rest_of(client: socket.socket) -> bytes:
    """All that comes until the server closes; a reset is an end too."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(65536):
            received += chunk
    return received


def exchange(port: int, data: bytes) -> bytes:
    """What the server says to some bytes, until it closes or falls silent for long."""
    with connection(port) as client:
        client.sendall(data)
        return rest_of(client)
