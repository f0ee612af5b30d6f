"""Raw bytes against a real socket: lies about lengths, heads that never end, answers that nobody reads."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, Response
from starlette.responses import StreamingResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.connections import Connections, GuardedProtocol
from api.main import create_app
from api.schemas import RequestBody
from core.config import Settings
from core.db.session import Database
from core.kit.sites import site_of
from tests.factories.backends import memory_backends
from tests.factories.http_server import connection, exchange, rest_of, served
from tests.factories.waiting import eventually

SLOW = Settings(
    header_timeout_s=0.5,
    body_grace_s=0.5,
    min_body_bytes_per_s=1000,
    max_connections=20,
    max_connections_per_address=20,
)
POST = b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'{"name": "a"}'
GOOD = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


class _Body(RequestBody):
    name: str


def made_app(settings: Settings) -> FastAPI:
    app = create_app(settings, Database("postgresql+psycopg://nobody@127.0.0.1:1/none"), memory_backends())

    @app.post("/v1/echo")
    def echo(body: _Body) -> _Body:
        return body

    @app.post("/v1/unread")
    def unread() -> Response:
        return Response("answered before the body came")

    @app.get("/v1/loop")
    async def loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    @app.get("/v1/endless")
    def endless() -> StreamingResponse:
        def chunks() -> Iterator[bytes]:
            while True:
                yield b"x" * 65536

        return StreamingResponse(chunks())

    return app


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served(made_app(SLOW), SLOW) as port:
        yield port


def answer(data: bytes) -> tuple[int, dict[str, object]]:
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body)["error"] if body else {}


def test_the_loop_and_the_parser_are_those_in_c(port: int) -> None:
    head, _, body = exchange(port, b"GET /v1/loop HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").partition(
        b"\r\n\r\n"
    )
    assert head.startswith(b"HTTP/1.1 200")
    assert json.loads(body) == "uvloop"
    assert issubclass(GuardedProtocol, HttpToolsProtocol)


class TestLengths:
    @pytest.mark.parametrize(
        "lengths",
        [
            b"content-length: -5\r\n",
            b"content-length: +13\r\n",
            b"content-length: 0x0d\r\n",
            b"content-length: many\r\n",
            b"content-length: 13\r\ncontent-length: 14\r\n",
            b"content-length: 13, 14\r\n",
            b"content-length: 13\r\ncontent-length: 13\r\n",
            b"content-length: " + b"9" * 100 + b"\r\n",
            b"transfer-encoding: gzip, chunked\r\n",
            b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ],
    )  # fmt: skip
    def test_one_that_means_nothing_is_refused_in_the_body_of_every_refusal(self, port: int, lengths: bytes) -> None:
        received = exchange(port, POST + lengths + b"\r\n" + BODY)
        status, error = answer(received)
        assert (status, error["code"], error["type"]) == (400, "invalid_http", "invalid_request_error")
        assert b"connection: close" in received
        assert b"x-content-type-options: nosniff" in received

    def test_two_ways_of_saying_it_are_refused_for_a_proxy_may_believe_the_other(self, port: int) -> None:
        chunked = b"d\r\n" + BODY + b"\r\n0\r\n\r\n"
        both = b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"
        received = exchange(port, POST + both + chunked + GOOD)
        assert answer(received)[1]["code"] == "invalid_http"
        assert received.count(b"HTTP/1.1") == 1

    def test_one_too_short_leaves_a_rest_that_is_no_request(self, port: int) -> None:
        received = exchange(port, POST + b"content-length: 5\r\n\r\n" + BODY + b"\r\n\r\n")
        # the five bytes are no JSON, and what is left is no HTTP
        assert received.startswith(b"HTTP/1.1 400")
        assert received.count(b"HTTP/1.1") <= 2
        assert b"HTTP/1.1 200" not in received

    def test_one_too_long_is_waited_for_no_longer_than_a_slow_body_is(self, port: int) -> None:
        started_at = time.monotonic()
        status, error = answer(exchange(port, POST + b"content-length: 1000\r\n\r\n" + BODY))
        assert (status, error["code"]) == (408, "request_timeout")
        assert time.monotonic() - started_at < 3

    def test_one_beyond_what_is_accepted_is_refused_before_a_byte_of_it_came(self, port: int) -> None:
        received = exchange(port, POST + b"content-length: 99999999999\r\n\r\n")
        assert answer(received)[0] == 413
        assert b"connection: close" in received

    @pytest.mark.parametrize(
        ("start", "coding"),
        [(POST, b"gzip"), (POST, b"chunked, identity"), (POST.replace(b"1.1", b"1.0"), b"chunked")],
    )
    def test_a_coding_that_not_everybody_knows_is_refused(self, port: int, start: bytes, coding: bytes) -> None:
        chunked = b"d\r\n" + BODY + b"\r\n0\r\n\r\n"
        received = exchange(port, start + b"transfer-encoding: " + coding + b"\r\n\r\n" + chunked)
        assert answer(received)[1]["code"] == "invalid_http"

    def test_what_follows_the_chunks_is_no_header(self, port: int) -> None:
        end = b"0\r\nx-request-id: from-behind\r\nconnection: close\r\n\r\n"
        start = POST + b"transfer-encoding: chunked\r\nx-request-id: from-before\r\n\r\n"
        with connection(port) as client:
            client.sendall(start + b"d\r\n" + BODY + b"\r\n" + end)
            received = client.recv(65536)
        assert received.startswith(b"HTTP/1.1 200")
        assert b"from-before" in received
        assert b"from-behind" not in received

    @pytest.mark.parametrize("chunk", [b"zz\r\nabc\r\n", b"-1\r\nabc\r\n", b"ffffffffffffffffffffffff\r\nabc\r\n"])
    def test_a_chunk_that_is_none_ends_the_connection(self, port: int, chunk: bytes) -> None:
        received = exchange(port, POST + b"transfer-encoding: chunked\r\n\r\n" + chunk)
        assert received == b"" or received.startswith(b"HTTP/1.1 400")


class TestHeads:
    @pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
    def test_a_long_one_is_refused(self, port: int, end: bytes) -> None:
        received = exchange(port, b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 20_000 + end)
        assert received == b"" or answer(received)[1]["code"] == "invalid_http"

    def test_a_long_query_is_refused_with_its_own_words(self, port: int) -> None:
        query = b"q=" + b"a" * 9000
        received = exchange(port, b"GET /v1/health?" + query + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        status, error = answer(received)
        assert (status, error["code"]) == (414, "query_too_long")

    @pytest.mark.parametrize("start", [b"", b"GET /v1/health HTTP/1.1\r\nx-a: "])
    def test_one_that_does_not_end_is_given_up(self, port: int, start: bytes) -> None:
        with connection(port) as client:
            client.sendall(start)
            assert rest_of(client) == b""

    def test_bytes_that_drip_in_gain_no_time(self, port: int) -> None:
        assert dripping(port, b"GET /v1/health HTTP/1.1\r\nx-a: ", b"a") < 3

    def test_the_head_of_a_second_request_has_the_same_time(self, port: int) -> None:
        first = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
        assert dripping(port, first + b"GET /v1/he", b"a") < 3

    def test_a_connection_that_waits_between_two_requests_stays_open(self, port: int) -> None:
        with connection(port) as client:
            for _ in range(2):
                client.sendall(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n")
                received = b""
                while not received.endswith(b'"ok"}'):
                    received += client.recv(65536)
                client.settimeout(1)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(10)

    @pytest.mark.parametrize("names", [b"", b"host: x\r\nhost: y\r\n"])
    def test_one_names_one_host(self, port: int, names: bytes) -> None:
        assert answer(exchange(port, b"GET /v1/health HTTP/1.1\r\n" + names + b"\r\n"))[1]["code"] == "invalid_http"

    def test_a_long_one_that_comes_in_pieces_is_refused_before_it_ends(self, port: int) -> None:
        with connection(port) as client:
            client.sendall(b"GET /v1/health HTTP/1.1\r\nx-long: ")
            with contextlib.suppress(ConnectionError):
                for _ in range(100):
                    client.sendall(b"a" * 1000)
                    time.sleep(0.001)
            received = rest_of(client)
        assert received == b"" or answer(received)[1]["code"] == "invalid_http"


class TestAhead:
    """Requests that come before those before them were answered."""

    def test_a_few_are_answered_in_their_order(self, port: int) -> None:
        paths = (b"/v1/health", b"/v1/none", b"/v1/health")
        sent = b"".join(b"GET " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n" for path in paths)
        received = exchange(port, sent + GOOD)
        statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"404", b"200", b"200"]

    def test_what_is_none_of_http_ends_the_connection_after_the_answer(self, port: int) -> None:
        received = exchange(port, b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\nnone of HTTP\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"HTTP/1.1") == 1

    def test_far_too_many_end_the_connection(self, port: int) -> None:
        with connection(port) as client:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n" * 5000)
            assert rest_of(client).count(b"HTTP/1.1 200") < 100


class TestUpgrades:
    """To nothing: the request is answered as if it had not asked, and is the connection's last."""

    def test_one_is_not_followed_and_nothing_after_it_is_read(self, port: int) -> None:
        asked = b"GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
        received = exchange(port, asked + GOOD)
        assert received.startswith(b"HTTP/1.1 200")
        assert received.count(b"HTTP/1.1") == 1
        assert b"connection: close" in received

    def test_its_body_is_not_taken_for_a_request(self, port: int) -> None:
        asked = POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n" % len(GOOD)
        with connection(port) as client:
            client.sendall(asked)
            time.sleep(0.1)
            client.sendall(GOOD)
            received = rest_of(client)
        # it is no JSON, and that is all
        assert received.startswith(b"HTTP/1.1 400")
        assert received.count(b"HTTP/1.1") == 1


class TestBodies:
    def test_one_that_drips_is_given_up(self, port: int) -> None:
        assert dripping(port, POST + b"content-length: 100000\r\n\r\n{", b" ") < 4

    def test_one_in_chunks_that_never_end_is_given_up(self, port: int) -> None:
        assert dripping(port, POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n") < 4

    def test_one_that_is_slow_but_fast_enough_is_taken(self, port: int) -> None:
        body = BODY + b" " * 3000
        with connection(port) as client:
            client.sendall(POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body))
            for start in range(0, len(body), 300):
                client.sendall(body[start : start + 300])
                time.sleep(0.1)
            assert rest_of(client).startswith(b"HTTP/1.1 200")

    def test_one_that_goes_on_after_its_answer_ends_the_connection(self, port: int) -> None:
        start = b"POST /v1/unread HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        assert dripping(port, start, b"1\r\n \r\n") < 3


class TestAnswers:
    def test_one_that_nobody_reads_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("api.connections._UNREAD_ANSWER_S", 0.5)
        with served(made_app(SLOW), SLOW) as port, connection(port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /v1/endless HTTP/1.1\r\nhost: x\r\n\r\n")
            eventually(lambda: is_closed(client), timeout_s=10)


class TestRoom:
    def test_one_address_has_so_many_connections(self) -> None:
        settings = SLOW.model_copy(update={"max_connections_per_address": 3, "header_timeout_s": 30})
        with served(made_app(settings), settings) as port, contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(connection(port))
            eventually(lambda: exchange(port, GOOD) == b"", timeout_s=5)

    def test_a_connection_that_ends_makes_room(self) -> None:
        settings = SLOW.model_copy(update={"max_connections_per_address": 3})
        with served(made_app(settings), settings) as port:
            for _ in range(10):
                eventually(lambda: exchange(port, GOOD).startswith(b"HTTP/1.1 200"), timeout_s=5)

    def test_a_trusted_proxy_has_as_many_as_it_needs(self) -> None:
        settings = SLOW.model_copy(
            update={"max_connections_per_address": 3, "header_timeout_s": 30, "trusted_proxies": "127.0.0.1"}
        )
        with served(made_app(settings), settings) as port, contextlib.ExitStack() as stack:
            for _ in range(10):
                stack.enter_context(connection(port))
            assert exchange(port, GOOD).startswith(b"HTTP/1.1 200")

    def test_when_all_are_taken_who_is_silent_makes_room_for_who_speaks(self) -> None:
        settings = SLOW.model_copy(update={"max_connections": 5, "header_timeout_s": 30})
        with served(made_app(settings), settings) as port, contextlib.ExitStack() as stack:
            silent = [stack.enter_context(connection(port)) for _ in range(5)]
            time.sleep(0.2)
            assert exchange(port, GOOD).startswith(b"HTTP/1.1 200")
            assert is_closed(silent[0])


def dripping(port: int, start: bytes, drip: bytes) -> float:
    """Seconds until the server has enough of a client that sends a few bytes ten times a second."""
    started_at = time.monotonic()
    with connection(port) as client:
        client.sendall(start)
        closed = threading.Event()
        reader = threading.Thread(target=lambda: (rest_of(client), closed.set()))
        reader.start()
        with contextlib.suppress(OSError):
            while not closed.wait(0.1):
                client.sendall(drip)
        reader.join(timeout=10)
        assert closed.is_set()
    return time.monotonic() - started_at


def is_closed(client: socket.socket) -> bool:
    """Without reading what is in its buffer."""
    try:
        client.sendall(b" ")
    except OSError:
        return True
    client.settimeout(0.1)
    try:
        return client.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
    finally:
        client.settimeout(10)


def test_one_ipv6_network_is_one_client() -> None:
    """Whoever has an address of it has as many as they like."""
    connections = Connections(Settings(max_connections=20, max_connections_per_address=2))
    protocols = []
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
        protocol = GuardedProtocol.__new__(GuardedProtocol)
        protocol.address, protocol.site = address, site_of(address) or address
        protocols.append(protocol)
    assert [connections.admit(protocol) for protocol in protocols] == [True, True, False, True]
    connections.release(protocols[0])
    assert connections.admit(protocols[2])
