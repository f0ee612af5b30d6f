"""An HTTP server on loopback that somebody's webhooks, or somebody's attacks, go to. It keeps what it got."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Receiver:
    """`script` says what is answered to each request; it may take its time."""

    url: str
    port: int
    requests: list[Received] = field(default_factory=list)
    script: Callable[[Received], Reply] = lambda _: Reply()
    num_connections: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, number: int, *, within_s: float = 20) -> list[Received]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= number, within_s), self.requests
        return self.requests


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    receiver: Receiver

    def get_request(self) -> tuple[socket.socket, Any]:
        found = super().get_request()
        self.receiver.num_connections += 1
        return found

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever hangs up in the middle of an answer is part of the test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        received = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        receiver = self.server.receiver
        with receiver.changed:
            receiver.requests.append(received)
            receiver.changed.notify_all()
        reply = receiver.script(received)
        self.send_response(reply.status)
        for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST  # noqa: N815 - its API

    def log_message(self, *_: object) -> None:
        """What it got is in `requests`."""


@contextmanager
def receiver(host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    server = _Server((host, port), _Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    found = Receiver(f"{'https' if tls else 'http'}://{host}:{server.server_port}/hooks", server.server_port)
    server.receiver = found
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
