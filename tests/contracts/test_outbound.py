"""The real client against listeners on loopback: attacks that must not reach them, and targets that must be.

Drill 38: the canary listens on 127.0.0.1 and must see no connection at all, whatever is asked for.
"""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dnslib import QTYPE, RR, A, DNSHeader, DNSRecord
from dnslib.server import BaseResolver, DNSServer

from core.backends.outbound import OutboundClient, Resolve, Unreachable
from core.config import Settings
from core.errors import Invalid
from core.kit.ssrf import Rules
from tests.factories.receiver import Receiver, Reply, receiver

URLS = [
    line.partition(" ~ ")[0]
    for line in (Path(__file__).parents[1] / "assets" / "ssrf_urls.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
PUBLIC = "93.184.215.14"
# by host, what its name server answers the first time, the second time and so on
ANSWERS: dict[str, list[list[str]]] = {
    "example.com": [[PUBLIC]],
    "loop.test": [["127.0.0.1"]],
    "loop6.test": [["::1"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "mixed.test": [[PUBLIC, "127.0.0.1"]],
    "meta.test": [["169.254.169.254"]],
    "linklocal.test": [["fe80::1%lo"]],
    "localhost": [["127.0.0.1", "::1"]],
    "rebind.test": [[PUBLIC], ["127.0.0.1"]],
}


def name_server() -> Resolve:
    answers = {host: chain(given, repeat(given[-1])) for host, given in ANSWERS.items()}

    def resolve(host: str, _port: int) -> Sequence[str]:
        if host not in answers:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return next(answers[host])

    return resolve


def client_for(*allowed: str, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None) -> OutboundClient:
    rules = Rules.parse(allow=",".join(allowed), ports="443", needs_https=True)
    return OutboundClient(rules, resolve=resolve or name_server(), ssl_context=tls)


def post(client: OutboundClient, url: str, *, timeout_s: float = 5, **changes: int) -> int:
    return client.send("POST", url, headers={}, body=b"{}", timeout_s=timeout_s, **changes).status


@pytest.fixture
def canary() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def honest() -> Iterator[Receiver]:
    """A target of ours, on an address that the allow-list names."""
    with receiver("127.0.0.2") as found:
        yield found


class TestAttacks:
    def test_the_corpus_is_a_corpus(self) -> None:
        assert len(set(URLS)) == len(URLS) >= 100

    @pytest.mark.parametrize("url", URLS)
    def test_no_address_of_the_corpus_reaches_the_canary(self, canary: Receiver, url: str) -> None:
        # so lenient about ports and TLS that nothing but the address can be what is refused
        rules = Rules(ports=frozenset({80, 443, canary.port}), needs_https=False)
        client, url = OutboundClient(rules, resolve=name_server()), url.replace("CANARY", str(canary.port))
        if "rebind" in url:
            # its first answer is a public address
            client.check(url)
        else:
            _refuses(lambda: client.check(url))
        _refuses(lambda: post(client, url))
        assert canary.num_connections == 0

    def test_the_canary_would_have_noticed(self, canary: Receiver) -> None:
        assert post(client_for("127.0.0.1"), f"http://loop.test:{canary.port}/") == 204
        assert canary.num_connections == 1

    def test_a_name_server_that_changes_its_mind_is_asked_once(self, canary: Receiver) -> None:
        """DNS rebinding over real DNS: the address that was judged is the one that is called."""
        asked: dict[str, int] = defaultdict(int)

        class Rebinding(BaseResolver):
            def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
                name = str(request.q.qname)
                asked[name] += 1
                reply = DNSRecord(DNSHeader(id=request.header.id, qr=1, aa=1, ra=1), q=request.q)
                reply.add_answer(RR(name, QTYPE.A, rdata=A("127.0.0.2" if asked[name] == 1 else "127.0.0.1"), ttl=0))
                return reply

        server = DNSServer(Rebinding(), address="127.0.0.1", port=0)
        port = server.server.server_address[1]

        def resolve(host: str, _port: int) -> Sequence[str]:
            answer = DNSRecord.parse(DNSRecord.question(host).send("127.0.0.1", port, timeout=5))
            return [str(found.rdata) for found in answer.rr]

        server.start_thread()
        try:
            client = client_for("127.0.0.2", resolve=resolve)
            with receiver("127.0.0.2", canary.port) as expected:
                assert post(client, f"http://first.test:{canary.port}/") == 204
                assert expected.num_connections == 1
                assert asked == {"first.test.": 1}
                with pytest.raises(Invalid, match=r"stands for 127\.0\.0\.1"):
                    post(client, f"http://first.test:{canary.port}/")
        finally:
            server.stop()
            server.server.server_close()
        assert canary.num_connections == 0

    def test_a_redirect_is_an_answer_and_not_followed(self, canary: Receiver, honest: Receiver) -> None:
        honest.script = lambda _: Reply(307, headers={"location": f"http://127.0.0.1:{canary.port}/"})
        assert post(client_for("127.0.0.2"), honest.url) == 307
        assert canary.num_connections == 0

    def test_a_proxy_of_the_environment_is_not_used(
        self, canary: Receiver, honest: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        assert post(client_for("127.0.0.2"), honest.url) == 204
        assert canary.num_connections == 0


class TestBounds:
    def test_an_answer_is_read_no_further_than_asked(self, honest: Receiver) -> None:
        honest.script = lambda _: Reply(200, b"x" * 1_000_000)
        answer = client_for("127.0.0.2").send("POST", honest.url, headers={}, timeout_s=5, max_bytes=1000)
        assert (answer.status, answer.body) == (200, b"x" * 1000)

    def test_what_is_packed_stays_packed(self, honest: Receiver) -> None:
        honest.script = lambda _: Reply(200, b"\x1f\x8b packed", {"content-encoding": "gzip"})
        answer = client_for("127.0.0.2").send("POST", honest.url, headers={}, timeout_s=5)
        assert answer.body == b"\x1f\x8b packed"
        assert honest.requests[0].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 200 OK\r\nx: "], ids=["nothing", "a header"])
    def test_a_head_that_drips_is_cut_at_the_time_of_the_whole_call(self, drip: bytes) -> None:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            began = time.monotonic()
            dripping = _in_thread(lambda: _drip(listener, drip))
            with pytest.raises(Unreachable, match=r"did not answer within 0\.6 s"):
                post(client_for("127.0.0.2"), f"http://127.0.0.2:{listener.getsockname()[1]}/", timeout_s=0.6)
            assert time.monotonic() - began < 3
            dripping()

    def test_a_body_that_drips_is_cut_and_its_status_counts(self) -> None:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            dripping = _in_thread(lambda: _drip(listener, b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"))
            address = f"http://127.0.0.2:{listener.getsockname()[1]}/"
            answer = client_for("127.0.0.2").send("POST", address, headers={}, timeout_s=0.6)
            assert answer.status == 200
            assert set(answer.body) <= {ord("y")}
            dripping()

    def test_the_next_address_is_tried_when_one_does_not_answer(self, honest: Receiver) -> None:
        client = client_for("127.0.0.0/8", resolve=lambda *_: ["127.0.0.3", "127.0.0.2"])
        assert post(client, f"http://two.test:{honest.port}/") == 204

    @pytest.mark.parametrize(
        ("answer", "why"), [(b"", "broke off"), (b"SSH-2.0-OpenSSH\r\n", "not HTTP"), (b"HTTP/1.1 2", "broke off")]
    )
    def test_what_is_no_answer_is_said(self, answer: bytes, why: str) -> None:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            answering = _in_thread(lambda: _say(listener, answer))
            with pytest.raises(Unreachable, match=why):
                post(client_for("127.0.0.2"), f"http://127.0.0.2:{listener.getsockname()[1]}/secret?token=1")
            answering()

    def test_nobody_there_is_said_without_the_path(self) -> None:
        with socket.create_server(("127.0.0.2", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(Unreachable) as failed:
            post(client_for("127.0.0.2"), f"http://127.0.0.2:{port}/secret?token=1")
        assert failed.value.message == f"No connection to 127.0.0.2, port {port}: Connection refused."


class TestTls:
    @pytest.fixture(scope="class")
    def pem(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return _certificate(tmp_path_factory.mktemp("tls") / "hooks.pem", "hooks.test")

    def test_the_hosts_own_name_is_what_tls_and_http_are_told(self, pem: Path) -> None:
        seen: list[str | None] = []
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        server.sni_callback = lambda _socket, name, _context: seen.append(name)
        client = client_for(
            "127.0.0.2", resolve=lambda *_: ["127.0.0.2"], tls=ssl.create_default_context(cafile=str(pem))
        )
        with receiver("127.0.0.2", tls=server) as found:
            assert post(client, f"https://Hooks.Test:{found.port}/a") == 204
            assert seen == ["hooks.test"]
            assert found.requests[0].headers["host"] == f"hooks.test:{found.port}"

    def test_a_certificate_of_another_name_or_of_nobody_is_refused(self, pem: Path) -> None:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pem)
        trusting = ssl.create_default_context(cafile=str(pem))
        with receiver("127.0.0.2", tls=server) as found:
            for host, context in (("other.test", trusting), ("hooks.test", None)):
                client = client_for("127.0.0.2", resolve=lambda *_: ["127.0.0.2"], tls=context)
                with pytest.raises(Unreachable, match=f"certificate of {host} is not valid"):
                    post(client, f"https://{host}:{found.port}/")
            assert found.requests == []


def test_the_settings_say_what_is_allowed(honest: Receiver) -> None:
    strict = Settings(mode="production", outbound_ports="443")
    for settings, url, why in (
        (strict, f"http://{PUBLIC}/", "https"),
        (strict, f"https://{PUBLIC}:8443/", "Port 8443"),
        (strict, honest.url, "this machine itself"),
    ):
        with pytest.raises(Invalid, match=why):
            OutboundClient.of_settings(settings).check(url)
    OutboundClient.of_settings(strict.model_copy(update={"outbound_http": True, "outbound_ports": "80"})).check(
        f"http://{PUBLIC}/"
    )
    own = OutboundClient.of_settings(strict.model_copy(update={"outbound_allow": "127.0.0.2"}))
    assert post(own, honest.url) == 204
    with pytest.raises(ValueError, match="neither a host nor a network"):
        Settings(outbound_allow="10.0.0.0/8, two words")


def test_the_systems_own_resolver_is_asked_by_default(canary: Receiver) -> None:
    client = OutboundClient(Rules(ports=frozenset({canary.port}), needs_https=False))
    with pytest.raises(Invalid, match="this machine itself"):
        client.check(f"http://localhost:{canary.port}/")
    assert canary.num_connections == 0


def _refuses(call: Callable[[], object]) -> None:
    with pytest.raises(Invalid) as refused:
        call()
    assert refused.value.error_code == "url_refused"


def _in_thread(work: Callable[[], None]) -> Callable[[], None]:
    thread = threading.Thread(target=work)
    thread.start()
    return thread.join


def _drip(listener: socket.socket, head: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            connection.sendall(head)
            for _ in range(200):
                time.sleep(0.05)
                connection.sendall(b"y")
        except OSError:
            return


def _say(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def _certificate(path: Path, host: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(tz=dt.UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path
