"""The whole way of a file that is fetched: API, job, a real server to fetch it from, the file on the wire."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from api.main import create_app
from core.backends.blobs import S3BlobStore
from core.backends.outbound import OutboundClient
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import SYSTEM, Database
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.kit.ids import new_id
from core.kit.ssrf import Rules
from core.stack.servers import ServerUrls
from tests.assets.bad_files import GOOD_CSV
from tests.conftest import Headers
from tests.factories.planted import Planted, kept_in, logged
from tests.factories.receiver import Received, Receiver, Reply, receiver
from worker.app import work_once
from worker.context import WorkContext

pytestmark = pytest.mark.stack

EVERYTHING = ("jobs", "job_events", "job_attempts", "job_logs", "audit_events", "files", "idempotency_keys")
URLS = [
    line.partition(" ~ ")[0]
    for line in (Path(__file__).parents[2] / "assets" / "ssrf_urls.txt").read_text().splitlines()
    if line and not line.startswith("#")
]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def source() -> Iterator[Receiver]:
    with receiver("127.0.0.2") as found:
        found.script = lambda _: Reply(200, GOOD_CSV, {"content-type": "application/octet-stream"})
        yield found


@pytest.fixture
def backends(backends: Backends) -> Backends:
    """Calls may go to two hosts of ours: one that serves files, and the store."""
    rules = Rules.parse(allow="127.0.0.2/32,127.0.0.1/32", ports="443", needs_https=True)
    return replace(backends, outbound=OutboundClient(rules))


@pytest.fixture
def ask(client: TestClient, as_member: Headers) -> Ask:
    def _ask(**body: Any) -> dict[str, Any]:  # noqa: ANN401 - a body
        answer = client.post("/v1/files/import", headers=as_member, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return _ask


@pytest.fixture
def look(client: TestClient, as_member: Headers) -> Callable[[str], dict[str, Any]]:
    def _look(import_id: str) -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/v1/files/imports/{import_id}", headers=as_member).json()
        return found

    return _look


Look = Callable[[str], dict[str, Any]]


class TestFromAnAddress:
    def test_becomes_a_file_with_its_own_bytes(
        self, client: TestClient, as_member: Headers, context: WorkContext, source: Receiver, ask: Ask, look: Look
    ) -> None:
        asked = ask(url=source.url.replace("/hooks", "/data/r%C3%BCckfragen.csv?token=1"))
        assert (asked["status"], asked["source"], asked["file"], asked["error"]) == ("queued", "127.0.0.2", None, None)
        assert work_once(context, QueueName.IO)
        done = look(asked["id"])
        assert (done["status"], done["received_bytes"], done["total_bytes"]) == (
            "succeeded",
            len(GOOD_CSV),
            len(GOOD_CSV),
        )
        file = done["file"]
        assert (file["filename"], file["purpose"], file["bytes"]) == ("rückfragen.csv", "fine-tune", len(GOOD_CSV))
        assert file["inspection"]["kind"] == "chat"
        assert client.get(f"/v1/files/{file['id']}/content", headers=as_member).content == GOOD_CSV

    @pytest.mark.parametrize(
        ("header", "name"),
        [
            ('attachment; filename="../../etc/rows.csv"', "rows.csv"),
            ("attachment; filename*=UTF-8''b%C3%BCro.csv", "büro.csv"),
        ],
    )
    def test_is_called_as_its_server_calls_it(
        self, context: WorkContext, source: Receiver, ask: Ask, look: Look, header: str, name: str
    ) -> None:
        source.script = lambda _: Reply(200, GOOD_CSV, {"content-disposition": header})
        asked = ask(url=source.url)
        assert work_once(context, QueueName.IO)
        assert look(asked["id"])["file"]["filename"] == name

    def test_or_as_it_was_asked_for(self, context: WorkContext, source: Receiver, ask: Ask, look: Look) -> None:
        asked = ask(url=source.url, filename="ours.csv")
        assert work_once(context, QueueName.IO)
        assert look(asked["id"])["file"]["filename"] == "ours.csv"

    @pytest.mark.parametrize(
        ("reply", "code"),
        [
            (Reply(404), "import_refused"),
            (Reply(403, b"<html>sign in</html>"), "import_refused"),
            (Reply(200, b"\x1f\x8b", {"content-encoding": "gzip"}), "import_packed"),
            (Reply(200, b"", {"content-length": str(2**40)}), "file_too_large"),
            (Reply(200, b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8), None),
            (Reply(200, b""), "file_empty"),
        ],
    )
    def test_what_is_no_file_of_examples_is_said_and_kept_nowhere(
        self,
        context: WorkContext,
        source: Receiver,
        ask: Ask,
        look: Look,
        backends: Backends,
        workspace_id: str,
        reply: Reply,
        code: str | None,
    ) -> None:
        source.script = lambda _: reply
        asked = ask(url=source.url, filename="rows.csv")
        assert work_once(context, QueueName.IO)
        failed = look(asked["id"])
        assert (failed["status"], failed["file"]) == ("failed", None)
        assert failed["error"]["message"]
        assert code in {None, failed["error"]["code"]}
        assert not work_once(context, QueueName.IO)
        assert backends.blobs.keys(f"workspaces/{workspace_id}/files/") == []

    def test_a_source_that_stumbles_is_asked_again(
        self, context: WorkContext, source: Receiver, ask: Ask, look: Look
    ) -> None:
        source.script = lambda _: Reply(503) if len(source.requests) == 1 else Reply(200, GOOD_CSV)
        asked = ask(url=source.url, filename="rows.csv")
        assert work_once(context, QueueName.IO)
        assert look(asked["id"])["status"] == "succeeded"
        assert len(source.requests) == 2

    def test_a_cancel_stops_it_while_it_comes(
        self, client: TestClient, as_member: Headers, context: WorkContext, source: Receiver, ask: Ask, look: Look
    ) -> None:
        is_cancelled = threading.Event()

        def script(_: Received) -> Reply:
            answer = client.post(f"/v1/files/imports/{asked['id']}/cancel", headers=as_member)
            assert answer.json()["status"] == "running"
            assert is_cancelled.wait(20)
            return Reply(200, GOOD_CSV)

        source.script = script
        asked = ask(url=source.url, filename="rows.csv")
        try:
            assert work_once(context, QueueName.IO)
        finally:
            is_cancelled.set()
        assert look(asked["id"])["status"] == "cancelled"
        assert client.get("/v1/files", headers=as_member).json()["data"] == []

    def test_a_cancel_before_its_turn_is_at_once_and_may_be_repeated(
        self, client: TestClient, as_member: Headers, context: WorkContext, source: Receiver, ask: Ask
    ) -> None:
        asked = ask(url=source.url)
        for _ in range(2):
            answer = client.post(f"/v1/files/imports/{asked['id']}/cancel", headers=as_member)
            assert answer.json()["status"] == "cancelled"
        assert not work_once(context, QueueName.IO)
        assert source.num_connections == 0

    def test_a_worker_that_lost_it_enters_nothing(
        self,
        client: TestClient,
        as_member: Headers,
        context: WorkContext,
        source: Receiver,
        ask: Ask,
        database: Database,
    ) -> None:
        def script(_: Received) -> Reply:
            with database.session(SYSTEM) as session:
                assert jobs.kill(session, job_id=asked["id"]) is not None
            return Reply(200, GOOD_CSV)

        source.script = script
        asked = ask(url=source.url, filename="rows.csv")
        assert work_once(context, QueueName.IO)
        assert client.get("/v1/files", headers=as_member).json()["data"] == []
        source.script = lambda _: Reply(200, GOOD_CSV)
        assert work_once(context, QueueName.IO)
        assert len(client.get("/v1/files", headers=as_member).json()["data"]) == 1


class TestAttacks:
    def test_no_address_of_the_corpus_is_taken(
        self, settings: Settings, database: Database, backends: Backends, as_member: Headers
    ) -> None:
        with receiver() as canary:
            rules = Rules(ports=frozenset({80, 443, canary.port}), needs_https=False)
            closed = replace(backends, outbound=OutboundClient(rules, resolve=_resolve))
            app = create_app(settings, database, closed)
            taken = {}
            with TestClient(app, base_url="http://127.0.0.1:8700") as client:
                for given in URLS:
                    url = given.replace("CANARY", str(canary.port))
                    answer = client.post("/v1/files/import", headers=as_member, json={"url": url})
                    if (answer.status_code, answer.json().get("error", {}).get("code")) != (400, "url_refused"):
                        taken[url] = answer.text
                    s3 = {"bucket": "examples", "key": "a.csv", "access_key_id": "a", "secret_access_key": "b"}
                    answer = client.post("/v1/files/import", headers=as_member, json={"s3": s3 | {"endpoint_url": url}})
                    if answer.status_code != 400:
                        taken[f"s3 {url}"] = answer.text
            assert taken == {}
            assert canary.num_connections == 0

    def test_an_address_that_turned_inwards_since_is_not_called(
        self, settings: Settings, database: Database, backends: Backends, context: WorkContext, as_member: Headers
    ) -> None:
        """What was judged when it was asked for is judged again when it is fetched."""
        answers = iter(["93.184.215.14", "127.0.0.1"])
        with receiver() as canary:
            rules = Rules(ports=frozenset({canary.port}), needs_https=False)
            turning = replace(backends, outbound=OutboundClient(rules, resolve=lambda *_: [next(answers)]))
            app = create_app(settings, database, turning)
            with TestClient(app, base_url="http://127.0.0.1:8700") as client:
                body = {"url": f"http://rebind.test:{canary.port}/rows.csv"}
                asked = client.post("/v1/files/import", headers=as_member, json=body).json()
                assert work_once(replace(context, backends=turning), QueueName.IO)
                failed = client.get(f"/v1/files/imports/{asked['id']}", headers=as_member).json()
            assert failed["error"]["code"] == "url_refused"
            assert canary.num_connections == 0


class TestFromS3:
    def test_is_read_with_keys_that_are_kept_nowhere(
        self,
        context: WorkContext,
        servers: ServerUrls,
        blobs: S3BlobStore,
        ask: Ask,
        look: Look,
        owner_engine: Engine,
    ) -> None:
        key = f"{new_id('tests/')}/unsere fragen+ü.csv"
        blobs.put_bytes(key, GOOD_CSV)
        secret = servers.s3_secret_access_key
        wanted = {
            "bucket": servers.s3_bucket,
            "key": key,
            "endpoint_url": servers.s3_endpoint_url,
            "access_key_id": servers.s3_access_key_id,
            "secret_access_key": secret,
        }
        with logged() as log:
            asked = ask(s3=wanted)
            waiting = kept_in(owner_engine, *EVERYTHING)
            assert work_once(context, QueueName.IO)
        done = look(asked["id"])
        assert done["status"] == "succeeded", done["error"]
        assert (done["file"]["filename"], done["file"]["bytes"]) == ("unsere fragen+ü.csv", len(GOOD_CSV))
        assert done["source"] == f"s3://{servers.s3_bucket}/{key}"
        for where in (waiting, kept_in(owner_engine, *EVERYTHING), log.getvalue(), str(asked), str(done)):
            assert secret not in where
            assert "X-Amz-Signature" not in where

    def test_wrong_keys_are_said_without_them(
        self, context: WorkContext, servers: ServerUrls, ask: Ask, look: Look, owner_engine: Engine
    ) -> None:
        planted = Planted()
        wanted = {
            "bucket": servers.s3_bucket,
            "key": "a.csv",
            "endpoint_url": servers.s3_endpoint_url,
            "access_key_id": servers.s3_access_key_id,
            "secret_access_key": planted.secret("s3"),
        }
        with logged() as log:
            asked = ask(s3=wanted)
            assert work_once(context, QueueName.IO)
        failed = look(asked["id"])
        assert failed["error"]["code"] == "import_refused"
        assert failed["error"]["details"]["status"] == 403
        assert planted.found_in(log.getvalue() + kept_in(owner_engine, *EVERYTHING) + str(failed)) == []

    def test_a_secret_address_is_sealed_while_it_waits_and_gone_afterwards(
        self, context: WorkContext, source: Receiver, ask: Ask, owner_engine: Engine
    ) -> None:
        planted = Planted()
        with logged() as log:
            ask(url=f"{source.url}/{planted.secret('path')}?sig={planted.secret('query')}", filename="rows.csv")
            waiting = kept_in(owner_engine, *EVERYTHING)
            assert work_once(context, QueueName.IO)
        assert '"address": "v1.' in waiting
        done = kept_in(owner_engine, *EVERYTHING)
        assert '"address"' not in done
        assert planted.found_in(waiting + done + log.getvalue()) == []


class TestPasted:
    def test_is_a_file_at_once(self, ask: Ask) -> None:
        done = ask(text=GOOD_CSV.decode(), filename="pasted.csv")
        assert (done["id"], done["status"], done["source"]) == (None, "succeeded", "pasted")
        assert (done["file"]["filename"], done["file"]["bytes"]) == ("pasted.csv", len(GOOD_CSV))

    @pytest.mark.parametrize("said", [{"idempotency-key": "one"}, {"x-stainless-retry-count": "1"}])
    def test_is_one_file_however_often_it_is_sent(
        self, client: TestClient, as_member: Headers, said: dict[str, str]
    ) -> None:
        body = {"text": GOOD_CSV.decode(), "filename": "pasted.csv"}
        sent = [client.post("/v1/files/import", headers={**as_member, **said}, json=body).json() for _ in range(2)]
        assert sent[0]["file"]["id"] == sent[1]["file"]["id"]
        assert len(client.get("/v1/files", headers=as_member).json()["data"]) == 1

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "invalid_import"),
            ({"text": "a", "url": "https://example.com/a.csv"}, "invalid_import"),
            ({"text": "a", "filename": "a.exe"}, "unsupported_type"),
            ({"url": "https://example.com/a.csv", "purpose": "batch"}, "unsupported_purpose"),
        ],
    )
    def test_what_is_not_one_thing_is_refused(
        self, client: TestClient, as_member: Headers, body: dict[str, Any], code: str
    ) -> None:
        answer = client.post("/v1/files/import", headers=as_member, json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def _resolve(host: str, _port: int) -> list[str]:
    return {
        "loop.test": ["127.0.0.1"],
        "loop6.test": ["::1"],
        "mapped.test": ["::ffff:127.0.0.1"],
        "mixed.test": ["93.184.215.14", "127.0.0.1"],
        "meta.test": ["169.254.169.254"],
        "linklocal.test": ["fe80::1%lo"],
        "localhost": ["127.0.0.1", "::1"],
        "rebind.test": ["127.0.0.1"],
    }.get(host) or _nobody(host)


def _nobody(host: str) -> list[str]:
    raise OSError(f"there is no {host}")
