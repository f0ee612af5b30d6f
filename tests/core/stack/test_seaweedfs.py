"""The embedded S3 server from outside: without the key pair nobody reads, changes or deletes anything, by any port."""

import socket
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.backends.blobs import S3BlobStore
from core.config import Settings
from core.stack import seaweedfs, seaweedfs_locks
from core.stack.home import held_home
from core.stack.ports import HOST
from core.stack.processes import stop_all
from core.stack.servers import remembered_ports

pytestmark = pytest.mark.stack

KEY = "workspaces/ws_1/files/file-1/source"
ROWS = b"somebody's rows"
# RFC 9113: the client's preface with an empty SETTINGS frame; a server answers with its own, of type 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
SETTINGS_FRAME = 4
GRPC = ("master_grpc", "filer_grpc", "volume_grpc", "s3_grpc")


@dataclass(frozen=True)
class Server:
    folder: Path
    ports: dict[str, int]
    store: S3BlobStore

    def at(self, part: str, path: str) -> str:
        return f"http://{HOST}:{self.ports[part]}{path}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with held_home(tmp_path_factory.mktemp("s3") / "home") as home:
        secrets, ports = home.secrets(), remembered_ports(home, seaweedfs.PORTS)
        child = seaweedfs.start(home, secrets, ports)
        try:
            seaweedfs.prepare(child, secrets, ports)
            store = S3BlobStore(
                Settings(
                    s3_endpoint_url=seaweedfs.url(ports),
                    s3_bucket=seaweedfs.BUCKET,
                    s3_access_key_id=secrets.s3_access_key_id,
                    s3_secret_access_key=secrets.s3_secret_access_key,
                )
            )
            yield Server(home.path / "s3", ports, store)
        finally:
            stop_all([child])


@pytest.fixture(autouse=True)
def rows(server: Server) -> Iterator[None]:
    server.store.put_bytes(KEY, ROWS)
    yield
    assert server.store.read_bytes(KEY) == ROWS, "somebody without the key pair changed them"


@pytest.mark.parametrize("part", ["s3", "filer", "master", "volume", "admin"])
@pytest.mark.parametrize("path", [f"/buckets/tailorbird/{KEY}", f"/tailorbird/{KEY}", "/buckets/tailorbird/"])
def test_nobody_reads_by_http(server: Server, part: str, path: str) -> None:
    answer = httpx.get(server.at(part, path), headers={"origin": "https://evil.example"}, follow_redirects=True)
    assert answer.status_code in {400, 401, 403, 404}
    assert ROWS not in answer.content


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("path", [f"/buckets/tailorbird/{KEY}", "/buckets/tailorbird/?recursive=true"])
def test_nobody_writes_by_the_filer(server: Server, method: str, path: str) -> None:
    assert httpx.request(method, server.at("filer", path)).status_code in {401, 404}


# a page of any site could ask for such an address, without reading the answer
@pytest.mark.parametrize(
    "path", ["/col/delete?collection=tailorbird", "/vol/vacuum", "/vol/grow?count=1", "/dir/assign", "/dir/status"]
)
def test_nobody_gives_the_master_orders(server: Server, path: str) -> None:
    assert httpx.get(server.at("master", path)).status_code == 404


def test_nobody_reads_chunks_whose_number_they_guess(server: Server) -> None:
    answers = [httpx.get(server.at("volume", f"/{volume},01000000")) for volume in range(1, 4)]
    assert {answer.status_code for answer in answers} == {401}


@pytest.mark.parametrize("part", GRPC)
def test_its_parts_answer_nobody_without_their_certificate(server: Server, part: str) -> None:
    with socket.create_connection((HOST, server.ports[part]), timeout=5) as plain:
        assert not speaks_http2(plain)
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    # TLS 1.3 refuses a missing certificate after the handshake
    with pytest.raises(ssl.SSLError), encrypted(server, part, stranger) as line:
        speaks_http2(line)
    own = ssl.create_default_context(cafile=server.folder / seaweedfs_locks.CERTIFICATE)
    own.load_cert_chain(server.folder / seaweedfs_locks.CERTIFICATE, server.folder / seaweedfs_locks.KEY)
    own.set_alpn_protocols(["h2"])
    with encrypted(server, part, own) as line:
        assert speaks_http2(line)


@contextmanager
def encrypted(server: Server, part: str, context: ssl.SSLContext) -> Iterator[socket.socket]:
    address = (HOST, server.ports[part])
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as line,
    ):
        yield line


def speaks_http2(line: socket.socket) -> bool:
    try:
        line.sendall(PREFACE)
        frame = line.recv(9)
    except (ConnectionError, TimeoutError):
        return False
    return len(frame) == 9 and frame[3] == SETTINGS_FRAME


def test_the_locks_are_read_by_their_owner_alone(server: Server) -> None:
    for name in (seaweedfs_locks.CONFIG, seaweedfs_locks.KEY):
        assert stat.S_IMODE((server.folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


def test_a_presigned_address_still_reads_its_object(server: Server) -> None:
    assert httpx.get(server.store.sign_get(KEY)).content == ROWS
