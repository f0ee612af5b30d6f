"""The fault proxy, over plain sockets: each fault does to a client what it says."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.factories.waiting import eventually
from tests.faults.proxy import FaultProxy
from tests.faults.proxy_rules import Rule

BODY = b"0123456789" * 100


class Echo:
    """A server that sends back what it gets; for HTTP it answers each request with `BODY`."""

    def __init__(self, *, is_http: bool) -> None:
        self.is_http = is_http
        self.received = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                self.received += data
                if not self.is_http:
                    connection.sendall(data)
                elif self.received.endswith((b"\r\n\r\n", b"end")):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY)
                    return


@contextmanager
def proxied(*, is_http: bool = False) -> Iterator[tuple[FaultProxy, Echo]]:
    echo = Echo(is_http=is_http)
    proxy = FaultProxy(("127.0.0.1", echo.port), is_http=is_http)
    proxy.start()
    try:
        yield proxy, echo
    finally:
        proxy.stop()
        echo.listener.close()


@pytest.fixture
def tcp() -> Iterator[tuple[FaultProxy, Echo]]:
    with proxied() as pair:
        yield pair


@pytest.fixture
def http() -> Iterator[tuple[FaultProxy, Echo]]:
    with proxied(is_http=True) as pair:
        yield pair


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def say(proxy: FaultProxy, data: bytes = b"hello") -> bytes:
    with connect(proxy) as client:
        client.sendall(data)
        return client.recv(65536)


def get(proxy: FaultProxy, path: str = "/", body: bytes = b"") -> bytes:
    with connect(proxy) as client:
        client.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() + body)
        answer = b""
        while chunk := client.recv(65536):
            answer += chunk
        return answer


def test_without_faults_everything_passes_and_is_counted(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    assert say(proxy) == b"hello"
    assert (proxy.counts["connections"], proxy.counts["bytes_up"], proxy.counts["bytes_down"]) == (1, 5, 5)


def test_latency_and_jitter_delay_every_chunk(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    proxy.faults.latency_s, proxy.faults.jitter_s = 0.1, 0.05
    started = time.monotonic()
    assert say(proxy) == b"hello"
    assert 0.2 <= time.monotonic() - started < 5


def test_a_throttle_lets_so_many_bytes_through_a_second(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    proxy.faults.bytes_per_s = 10_000
    started = time.monotonic()
    assert say(proxy, b"x" * 1000) == b"x" * 1000
    assert 0.2 <= time.monotonic() - started < 5


def test_open_connections_are_reset_and_new_ones_pass(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    with connect(proxy) as client:
        client.sendall(b"hello")
        assert client.recv(10) == b"hello"
        assert proxy.reset_connections() >= 1
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    assert say(proxy) == b"hello"


def test_a_black_hole_takes_everything_and_says_nothing(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, echo = tcp
    with connect(proxy) as early:
        early.sendall(b"a")
        assert early.recv(10) == b"a"
        proxy.faults.black_hole = True
        with connect(proxy) as late:
            for client in (early, late):
                client.settimeout(0.2)
                client.sendall(b"hello")
                with pytest.raises(TimeoutError):
                    client.recv(10)
    assert echo.received == b"a"


def test_what_a_black_hole_swallowed_stays_dead_when_it_heals(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    with connect(proxy) as idle, connect(proxy) as swallowed:
        for client in (idle, swallowed):  # the kernel accepts before the proxy does: an echo shows both are through
            client.sendall(b"a")
            assert client.recv(10) == b"a"
        proxy.faults.black_hole = True
        swallowed.sendall(b"hello")
        eventually(lambda: proxy.counts["swallowed"] == 1)
        proxy.heal()
        swallowed.settimeout(0.2)
        swallowed.sendall(b"still there?")
        with pytest.raises(TimeoutError):
            swallowed.recv(10)
        idle.sendall(b"hello")
        assert idle.recv(10) == b"hello"
    assert say(proxy) == b"hello"


def test_refused_is_refused_until_it_heals_on_the_same_port(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    assert (say(proxy), proxy.port) == (b"hello", port)


def test_a_half_closed_server_says_no_more_but_still_hears(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, echo = tcp
    proxy.faults.half_close = True
    with connect(proxy) as client:
        client.sendall(b"one")
        assert client.recv(10) == b""
        client.sendall(b"two")
        eventually(lambda: echo.received == b"onetwo")


def test_a_connection_is_cut_after_so_many_bytes(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, _ = tcp
    proxy.faults.cut_after_bytes = 3
    with connect(proxy) as client:
        client.sendall(b"hello")
        received = b""
        with pytest.raises(ConnectionResetError):
            while chunk := client.recv(10):
                received += chunk
    assert len(received) <= 3


def test_a_chunk_can_be_picked_and_its_reply_lost(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, echo = tcp
    proxy.faults.rules.append(Rule("lose_reply", when=lambda chunk: b"COMMIT" in chunk, times=1))
    with connect(proxy) as client:
        client.sendall(b"BEGIN")
        assert client.recv(10) == b"BEGIN"
        client.sendall(b"COMMIT")
        with pytest.raises(ConnectionResetError):
            client.recv(10)
    assert echo.received == b"BEGINCOMMIT"
    assert say(proxy, b"COMMIT") == b"COMMIT"
    assert proxy.counts["lose_reply"] == 1


def test_a_chunk_can_be_picked_and_never_arrive(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, echo = tcp
    proxy.faults.rules.append(Rule("reset", when=lambda chunk: b"COMMIT" in chunk))
    with pytest.raises(ConnectionResetError):
        say(proxy, b"COMMIT")
    assert echo.received == b""


def test_a_dead_target_looks_dead(tcp: tuple[FaultProxy, Echo]) -> None:
    proxy, echo = tcp
    echo.listener.shutdown(socket.SHUT_RDWR)
    echo.listener.close()
    with pytest.raises(ConnectionResetError):
        say(proxy)
    assert proxy.counts["refused_by_target"] == 1


class TestHttp:
    def test_a_request_passes(self, http: tuple[FaultProxy, Echo]) -> None:
        proxy, echo = http
        assert get(proxy).endswith(BODY)
        assert b"Connection: close" in echo.received
        assert proxy.counts["requests"] == 1

    def test_slow_down_is_answered_without_asking_the_server(self, http: tuple[FaultProxy, Echo]) -> None:
        proxy, echo = http
        proxy.faults.rules.append(Rule("503", when=lambda head: b" /bucket/" in head, times=2))
        for _ in range(2):
            assert get(proxy, "/bucket/key", body=b"x" * 100_000).startswith(b"HTTP/1.1 503 Slow Down")
        assert echo.received == b""
        assert get(proxy, "/bucket/key").startswith(b"HTTP/1.1 200 OK")
        assert proxy.counts["503"] == 2

    def test_a_probability_is_drawn_from_the_seed(self, http: tuple[FaultProxy, Echo]) -> None:
        proxy, _ = http
        proxy.faults.rules.append(Rule("503", probability=0.3))
        answers = [get(proxy)[9:12] for _ in range(50)]
        assert 5 <= answers.count(b"503") <= 25

    def test_one_bit_of_a_body_is_flipped(self, http: tuple[FaultProxy, Echo]) -> None:
        proxy, _ = http
        proxy.faults.rules.append(Rule("corrupt"))
        body = get(proxy).partition(b"\r\n\r\n")[2]
        assert (len(body), body[1:]) == (len(BODY), BODY[1:])
        assert body[0] ^ BODY[0] == 1

    def test_an_upload_is_cut_in_its_middle(self, http: tuple[FaultProxy, Echo]) -> None:
        proxy, echo = http
        proxy.faults.rules.append(Rule("cut", after_bytes=50_000))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            get(proxy, body=b"x" * 1_000_000)
        assert echo.received.count(b"x") < 60_000
