"""Downloads by the outbound client: redirects are judged as the first address was, and every wait has an end."""

import socket
from collections.abc import Iterator

import pytest

from core.backends.outbound import Answer, OutboundClient, Unreachable
from core.errors import Invalid
from core.kit.ssrf import Rules
from tests.contracts.test_outbound import URLS, _drip, _in_thread, _say, client_for, name_server
from tests.factories.receiver import Received, Receiver, Reply, receiver


@pytest.fixture
def canary() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def honest() -> Iterator[Receiver]:
    with receiver("127.0.0.2") as found:
        yield found


def download(
    client: OutboundClient, url: str, *, timeout_s: float = 5, silence_s: float = 5
) -> tuple[str, Answer, bytes]:
    began: list[tuple[str, Answer]] = []
    body = bytearray()

    def take(chunk: bytes) -> bool:
        body.extend(chunk)
        return True

    client.download(
        url,
        began=lambda at, answer: began.append((at, answer)),
        take=take,
        timeout_s=timeout_s,
        silence_s=silence_s,
    )
    ((at, answer),) = began
    return at, answer, bytes(body)


def test_a_body_of_any_length_comes_in_chunks_with_its_head_first(honest: Receiver) -> None:
    data = b"x" * 3_000_000
    honest.script = lambda _: Reply(200, data, {"content-disposition": "attachment; filename=rows.csv"})
    at, answer, body = download(client_for("127.0.0.2"), honest.url)
    assert (at, answer.status, body) == (honest.url, 200, data)
    assert answer.headers["content-disposition"] == "attachment; filename=rows.csv"
    assert honest.requests[0].headers["accept-encoding"] == "identity"


def test_whoever_has_enough_is_sent_no_more(honest: Receiver) -> None:
    honest.script = lambda _: Reply(200, b"x" * 3_000_000)
    taken: list[int] = []

    def take(chunk: bytes) -> bool:
        taken.append(len(chunk))
        return False

    client_for("127.0.0.2").download(
        honest.url,
        began=lambda *_: None,
        take=take,
        timeout_s=5,
        silence_s=5,
    )
    assert len(taken) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_to_where_calls_may_go(honest: Receiver, status: int) -> None:
    def script(asked: Received) -> Reply:
        if asked.path == "/hooks":
            return Reply(status, headers={"location": "/there?a=b"})
        return Reply(200, b"rows")

    honest.script = script
    at, answer, body = download(client_for("127.0.0.2"), honest.url)
    assert (at, answer.status, body) == (honest.url.replace("/hooks", "/there?a=b"), 200, b"rows")


@pytest.mark.parametrize("url", URLS)
def test_no_redirect_reaches_an_address_of_the_corpus(canary: Receiver, honest: Receiver, url: str) -> None:
    url = url.replace("CANARY", str(canary.port))
    location = url.encode("utf-8").decode("latin-1")
    if not location or "\n" in location or "\r" in location:
        pytest.skip("no header can hold it")
    if url.startswith(f"http://127.0.0.2:{canary.port}"):
        pytest.skip("allowed here, since the one that redirects is there")
    honest.script = lambda _: Reply(302, headers={"location": location})
    rules = Rules.parse(allow="127.0.0.2/32", ports=f"80,443,{canary.port}", needs_https=False)
    client = OutboundClient(rules, resolve=name_server())
    with pytest.raises((Invalid, Unreachable)):
        download(client, honest.url, timeout_s=2, silence_s=2)
    assert canary.num_connections == 0


def test_a_circle_of_redirects_ends(honest: Receiver) -> None:
    honest.script = lambda _: Reply(302, headers={"location": "/hooks"})
    with pytest.raises(Invalid, match="more than 5 times"):
        download(client_for("127.0.0.2"), honest.url)
    assert len(honest.requests) == 6


def test_a_body_that_is_cut_is_no_file() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nquestion,answer\n"
        answering = _in_thread(lambda: _say(listener, head))
        with pytest.raises(Unreachable, match="broke off"):
            download(client_for("127.0.0.2"), f"http://127.0.0.2:{listener.getsockname()[1]}/")
        answering()


def test_a_body_that_drips_is_cut_at_the_time_of_the_whole_call() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        dripping = _in_thread(lambda: _drip(listener, b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"))
        with pytest.raises(Unreachable):
            download(client_for("127.0.0.2"), f"http://127.0.0.2:{listener.getsockname()[1]}/", timeout_s=0.6)
        dripping()


def test_a_body_that_stops_is_cut_after_the_silence() -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:

        def stop_in_the_middle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\nquestion")
                while connection.recv(65536):
                    pass

        stopping = _in_thread(stop_in_the_middle)
        with pytest.raises(Unreachable):
            download(
                client_for("127.0.0.2"),
                f"http://127.0.0.2:{listener.getsockname()[1]}/",
                timeout_s=600,
                silence_s=0.3,
            )
        stopping()
