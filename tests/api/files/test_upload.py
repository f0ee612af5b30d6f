"""POST /v1/files: what is kept, what is refused, and that a refusal leaves nothing."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.datasets import files
from core.datasets.incoming import IncomingFile
from core.datasets.models import File
from core.datasets.purposes import Purpose
from core.db.session import Database, workspace_scope
from core.kit.hashing import sha256_bytes
from core.kit.pagination import PageRequest
from tests.assets.bad_files import BAD_FILES, GOOD_CSV, GOOD_JSONL, MIB, BadFile, chunks
from tests.conftest import Headers

pytestmark = pytest.mark.stack


def upload(client: TestClient, headers: Headers, content: bytes, filename: str = "tickets.csv", **data: str):  # noqa: ANN201
    return client.post("/v1/files", headers=headers, files={"file": (filename, content)}, data=data)


def assert_nothing_is_left(settings: Settings, database: Database, backends: Backends, workspace_id: str) -> None:
    assert not settings.uploads_dir.exists() or list(settings.uploads_dir.iterdir()) == []
    assert backends.blobs.keys(f"workspaces/{workspace_id}/") == []
    with database.session(workspace_scope(workspace_id)) as session:
        assert files.list_files(session, workspace_id=workspace_id, page=PageRequest()).items == []


class TestRefusals:
    def test_anonymous(self, client: TestClient) -> None:
        assert upload(client, {}, GOOD_CSV).status_code == 401

    def test_a_viewer(self, client: TestClient, as_viewer: Headers) -> None:
        assert upload(client, as_viewer, GOOD_CSV).status_code == 403

    @pytest.mark.parametrize("bad", BAD_FILES, ids=str)
    def test_a_bad_file_leaves_nothing(
        self,
        bad: BadFile,
        client: TestClient,
        settings: Settings,
        database: Database,
        backends: Backends,
        workspace_id: str,
        as_member: Headers,
    ) -> None:
        refused = upload(client, as_member, bad.content(), bad.filename)
        assert refused.status_code == 400
        error = refused.json()["error"]
        assert (error["code"], error["type"], error["param"]) == (bad.code, "invalid_request_error", "file")
        assert error["details"]["row"] == bad.row
        assert error["details"]["column"] == bad.column
        assert error["details"]["cause"]
        assert error["details"]["fix"] in error["message"]
        assert_nothing_is_left(settings, database, backends, workspace_id)

    def test_a_file_beyond_the_limit(
        self, settings: Settings, database: Database, backends: Backends, workspace_id: str, as_member: Headers
    ) -> None:
        small = settings.model_copy(update={"max_upload_bytes": 1000})
        with TestClient(create_app(small, database, backends), base_url="http://127.0.0.1:8700") as client:
            refused = upload(client, as_member, GOOD_CSV + b"more,rows\n" * 100)
        assert refused.status_code == 413
        assert refused.json()["error"]["code"] == "file_too_large"
        assert_nothing_is_left(settings, database, backends, workspace_id)

    def test_reading_stops_at_the_first_violation(self, tmp_path: Path) -> None:
        receiving = IncomingFile(filename="t.csv", purpose=Purpose.FINE_TUNE, directory=tmp_path, max_bytes=1000 * MIB)
        taken = [receiving.feed(chunk) for chunk in (GOOD_CSV, b"x" * MIB, b"x" * MIB)]
        receiving.close()
        assert taken == [True, True, False]

    @pytest.mark.parametrize(
        ("content_type", "body", "code"),
        [
            ("application/json", b"{}", "invalid_form"),
            ("multipart/form-data", b"", "invalid_form"),
            ("multipart/form-data; boundary=" + "b" * 300, b"", "invalid_form"),
            ("multipart/form-data; boundary=b", b"--c\r\n", "invalid_form"),
            ("multipart/form-data; boundary=b", b"--b--\r\n", "file_missing"),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nquestion,answer\r\n',
                "invalid_form",
            ),
            (
                "multipart/form-data; boundary=b",
                b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nnot a file\r\n--b--\r\n',
                "file_missing",
            ),
        ],
    )
    def test_a_form_that_is_none(
        self, client: TestClient, as_member: Headers, content_type: str, body: bytes, code: str
    ) -> None:
        refused = client.post("/v1/files", headers={**as_member, "content-type": content_type}, content=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)

    def test_another_purpose(
        self,
        client: TestClient,
        settings: Settings,
        database: Database,
        backends: Backends,
        workspace_id: str,
        as_member: Headers,
    ) -> None:
        refused = upload(client, as_member, GOOD_CSV, purpose="assistants")
        assert refused.json()["error"]["code"] == "unsupported_purpose"
        assert_nothing_is_left(settings, database, backends, workspace_id)


class TestAGoodFile:
    def test_is_kept_and_told_apart(self, client: TestClient, as_member: Headers, backends: Backends) -> None:
        file = upload(client, as_member, GOOD_CSV, purpose="fine-tune").json()
        assert file["id"].startswith("file-")
        assert (file["object"], file["bytes"], file["status"]) == ("file", len(GOOD_CSV), "processed")
        assert (file["filename"], file["purpose"], file["expires_at"]) == ("tickets.csv", "fine-tune", None)
        chosen = {role: name for role, name in file["inspection"]["mapping"].items() if name}
        assert chosen == {"question": "question", "answer": "answer"}
        assert file["inspection"]["num_rows"] == 12
        assert client.get(f"/v1/files/{file['id']}/content", headers=as_member).content == GOOD_CSV

    def test_is_entered_in_the_audit_log(self, client: TestClient, as_admin: Headers) -> None:
        file = upload(client, as_admin, GOOD_JSONL, "rows.jsonl").json()
        found = client.get("/v1/audit_events", headers=as_admin, params={"action": "file.uploaded"}).json()["data"]
        assert [event["target_id"] for event in found] == [file["id"]]
        assert found[0]["details"]["sha256"] == sha256_bytes(GOOD_JSONL)

    def test_has_a_name_without_a_path(self, client: TestClient, as_member: Headers) -> None:
        assert upload(client, as_member, GOOD_CSV, "C:\\Users\\me\\tickets.csv").json()["filename"] == "tickets.csv"

    def test_arrives_in_any_pieces(self, client: TestClient, as_member: Headers) -> None:
        head = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--b\r\n'
        head += b'Content-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\n'
        body = head + GOOD_CSV + "é,ü\n".encode() + b"\r\n--b--\r\n"
        headers = {**as_member, "content-type": "multipart/form-data; boundary=b"}
        made = client.post("/v1/files", headers=headers, content=chunks(body, 3))
        assert made.json()["bytes"] == len(GOOD_CSV) + 6

    def test_leaves_no_temporary_file(self, client: TestClient, as_member: Headers, settings: Settings) -> None:
        upload(client, as_member, GOOD_CSV)
        assert list(settings.uploads_dir.iterdir()) == []

    def test_that_cannot_be_entered_is_not_left_in_the_store(
        self,
        client: TestClient,
        as_member: Headers,
        backends: Backends,
        workspace_id: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def fail(*_args: object, **_kwargs: object) -> None:
            raise RuntimeError("the database went away")

        monkeypatch.setattr(files, "record", fail)
        assert upload(client, as_member, GOOD_CSV).status_code == 500
        assert backends.blobs.keys(f"workspaces/{workspace_id}/") == []


class TestTrouble:
    def test_a_full_disk_is_told_as_such_and_leaves_nothing(
        self,
        client: TestClient,
        settings: Settings,
        database: Database,
        backends: Backends,
        workspace_id: str,
        as_member: Headers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # the kernel's own full disk
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Path("/dev/full").open("w+b"))  # noqa: SIM115
        for content in (GOOD_CSV, GOOD_CSV * 5000):
            refused = upload(client, as_member, content)
            error = refused.json()["error"]
            assert (refused.status_code, error["type"], error["code"]) == (507, "server_error", "insufficient_storage")
            assert refused.headers["x-should-retry"] == "false"
        monkeypatch.undo()
        assert_nothing_is_left(settings, database, backends, workspace_id)
        assert upload(client, as_member, GOOD_CSV).status_code == 200

    def test_a_commit_whose_answer_was_lost_keeps_the_bytes(
        self, client: TestClient, backends: Backends, as_member: Headers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        commit = Session.commit

        def commit_and_lose_the_answer(session: Session) -> None:
            is_upload = any(isinstance(found, File) for found in session.identity_map.values())
            commit(session)
            if is_upload:
                monkeypatch.undo()
                raise OperationalError("commit", {}, Exception("the connection is gone"))

        monkeypatch.setattr(Session, "commit", commit_and_lose_the_answer)
        made = upload(client, as_member, GOOD_CSV)
        assert made.status_code == 200
        content = client.get(f"/v1/files/{made.json()['id']}/content", headers=as_member)
        assert content.content == GOOD_CSV
