"""Clients that open many connections and say next to nothing."""

import contextlib
import os
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from core.stack.ports import choose
from tests.factories.waiting import eventually
from tests.faults.recording import Record

ROOT = Path(__file__).parents[3]
NUM_SLOW = 500
TIMEOUT_S = 4
HEAD = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx-a: "
POST = b"POST /v1/auth/sign_in HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
# how each of them begins, and what it then sends twice a second
KINDS = (
    (b"", b""),
    (HEAD, b"a"),
    (POST + b"content-length: 1000000\r\n\r\n{", b" "),
    (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    # as much as is accepted, at once, and then no more
    (POST + b"content-length: 2000000\r\n\r\n" + b" " * 200_000, b""),
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The process as it is, without its servers: what is asked for here needs none of them."""
    port = choose(["api"], {})["api"]
    environment = os.environ | {
        "TAILORBIRD_LISTEN": f"127.0.0.1:{port}",
        "TAILORBIRD_HOME": str(tmp_path),
        "TAILORBIRD_HEADER_TIMEOUT_S": str(TIMEOUT_S),
        "TAILORBIRD_BODY_GRACE_S": str(TIMEOUT_S),
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with (tmp_path / "api.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "api"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: is_up(port))
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.drill(36)
@pytest.mark.fast_drill
def test_five_hundred_slow_clients_are_shed_and_honest_ones_do_not_notice(
    api: tuple[int, psutil.Process], record_figure: Record
) -> None:
    port, process = api
    honest = Honest(port)
    with honest.asking():
        eventually(lambda: len(honest.seconds) > 20)
    before_mib = process.memory_info().rss / 2**20
    with slow_clients(port) as clients, honest.asking():
        started_at = time.monotonic()
        eventually(lambda: not drip(clients), timeout_s=5 * TIMEOUT_S)
        shed_s = time.monotonic() - started_at
        grown_mib = process.memory_info().rss / 2**20 - before_mib
    p99_s = statistics.quantiles(honest.seconds, n=100)[98]
    assert honest.failures == []
    assert len(honest.seconds) > 50
    assert p99_s < 1
    # all that they are owed, the slowest body's few bytes included, and the time to notice
    assert shed_s < 2 * TIMEOUT_S + 4
    assert grown_mib < 150
    record_figure("honest_p99_ms", round(1000 * p99_s, 1))
    record_figure("slow_clients_shed_s", round(shed_s, 1))
    record_figure("api_memory_growth_mib", round(grown_mib, 1), times=NUM_SLOW)


class Honest:
    """Asks for something small again and again, each time over a new connection, as a new client would."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._port = port
        self._is_done = threading.Event()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        self._is_done.clear()
        thread = threading.Thread(target=self._ask)
        thread.start()
        try:
            yield
        finally:
            self._is_done.set()
            thread.join()

    def _ask(self) -> None:
        while not self._is_done.wait(0.02):
            started_at = time.monotonic()
            try:
                status = health(self._port)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            self.seconds.append(time.monotonic() - started_at)
            if status != 200:
                self.failures.append(str(status))


Clients = dict[socket.socket, bytes]


@contextlib.contextmanager
def slow_clients(port: int) -> Iterator[Clients]:
    clients: Clients = {}
    try:
        for number in range(NUM_SLOW):
            start, dripped = KINDS[number % len(KINDS)]
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.setblocking(False)
            clients[client] = dripped
            with contextlib.suppress(BlockingIOError):
                client.send(start)
        yield clients
    finally:
        for client in list(clients):
            client.close()


def drip(clients: Clients) -> int:
    """One more round; how many of them the server still hears."""
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        for key, _ in selector.select(timeout=0):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            if is_over(client):
                del clients[client]
                client.close()
    for client, dripped in clients.items():
        with contextlib.suppress(OSError):
            client.send(dripped)
    time.sleep(0.5)
    return len(clients)


def is_over(client: socket.socket) -> bool:
    try:
        # a refusal is read, and then the end
        while received := client.recv(65536):
            assert b" 408 " in received or b" 413 " in received or b"\r\n\r\n" not in received
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def health(port: int) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/v1/health")
        return connection.getresponse().status


def is_up(port: int) -> bool:
    try:
        return health(port) == 200
    except OSError:
        return False
