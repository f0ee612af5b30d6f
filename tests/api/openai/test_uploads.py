"""Files in parts, as the unmodified client sends them."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import pytest
from fastapi import FastAPI
from openai import OpenAI
from openai.types import Upload
from sqlalchemy import text

from core.backends.registry import Backends
from core.config import Settings
from core.datasets.uploads import assembly
from core.datasets.uploads import service as uploads
from core.db.session import SYSTEM, Database
from tests.api.openai.conftest import ClientOf
from worker.tasks.sweeping import sweep_files

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Begin = Callable[..., Upload]


@pytest.fixture
def begin(ai: OpenAI, rows: bytes) -> Begin:
    def _begin(num_bytes: int = len(rows), filename: str = "rows.jsonl", purpose: str = "fine-tune") -> Upload:
        return ai.uploads.create(
            bytes=num_bytes,
            filename=filename,
            mime_type="text/jsonl",
            purpose=purpose,  # type: ignore[arg-type]
        )

    return _begin


def make_old(database: Database, seconds: int) -> None:
    with database.session(SYSTEM) as session:
        moved = "update uploads set expires_at = expires_at - make_interval(secs => :s)"
        session.execute(text(moved), {"s": seconds})


def keys_of(backends: Backends, workspace_id: str, kind: str) -> list[str]:
    return backends.blobs.keys(f"workspaces/{workspace_id}/{kind}/")


class TestComplete:
    def test_every_row_is_validated_as_in_a_file_of_one_piece(self, ai: OpenAI, begin: Begin) -> None:
        row = b'{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "It is."}]}\n' % (
            b"What is it? " * 80_000
        )
        upload = begin(38 * len(row))
        whole = ai.uploads.parts.create(upload.id, data=row * 37)
        last = ai.uploads.parts.create(upload.id, data=row.replace(b'"user"', b'"usre"'))
        with pytest.raises(openai.BadRequestError) as refused:
            ai.uploads.complete(upload.id, part_ids=[whole.id, last.id])
        assert refused.value.body["details"]["row"] == 38  # type: ignore[index]
        mended = ai.uploads.parts.create(upload.id, data=row)
        done = ai.uploads.complete(upload.id, part_ids=[whole.id, mended.id])
        assert done.file is not None
        found = done.file.model_dump()["inspection"]
        assert (found["num_records"], found["is_complete"]) == (38, True)

    def test_makes_a_file_of_the_parts_in_the_order_named(
        self, ai: OpenAI, begin: Begin, rows: bytes, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin()
        assert (upload.object, upload.status, upload.bytes, upload.file) == ("upload", "pending", len(rows), None)
        assert upload.expires_at == upload.created_at + 3600
        assert upload.id.startswith("upload_")
        last = ai.uploads.parts.create(upload.id, data=rows[1000:])
        first = ai.uploads.parts.create(upload.id, data=rows[:1000])
        assert (first.object, first.upload_id) == ("upload.part", upload.id)
        assert first.id.startswith("part_")
        done = ai.uploads.complete(upload.id, part_ids=[first.id, last.id], md5=hashlib.md5(rows).hexdigest())  # noqa: S324
        assert done.status == "completed"
        assert done.file is not None
        assert (done.file.bytes, done.file.filename, done.file.purpose) == (len(rows), "rows.jsonl", "fine-tune")
        assert ai.files.content(done.file.id).read() == rows
        assert ai.files.wait_for_processing(done.file.id).status == "processed"
        assert keys_of(backends, workspace_id, "uploads") == []

    def test_asked_again_gives_the_same_file(self, ai: OpenAI, begin: Begin, rows: bytes) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        made = [ai.uploads.complete(upload.id, part_ids=[part.id]).file for _ in range(2)]
        assert made[0] == made[1]
        assert len(ai.files.list().data) == 1
        with pytest.raises(openai.ConflictError) as caught:
            ai.uploads.complete(upload.id, part_ids=["part_other"])
        assert caught.value.code == "upload_completed"

    def test_at_the_same_time_makes_one_file(
        self,
        ai: OpenAI,
        begin: Begin,
        rows: bytes,
        monkeypatch: pytest.MonkeyPatch,
        backends: Backends,
        workspace_id: str,
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        is_writing, may_go_on = threading.Event(), threading.Event()
        written = assembly._written

        def held(*args: object, **kwargs: object) -> object:
            is_writing.set()
            assert may_go_on.wait(20)
            return written(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(assembly, "_written", held)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(ai.uploads.complete, upload.id, part_ids=[part.id])
            assert is_writing.wait(20)
            with pytest.raises(openai.ConflictError) as caught:
                ai.uploads.complete(upload.id, part_ids=[part.id])
            assert caught.value.code == "request_in_flight"
            assert caught.value.response.headers["x-should-retry"] == "true"
            with pytest.raises(openai.ConflictError):
                ai.uploads.cancel(upload.id)
            may_go_on.set()
            done = first.result()
        assert done.file is not None
        again = ai.uploads.complete(upload.id, part_ids=[part.id])
        assert again.file is not None
        assert again.file.id == done.file.id
        assert len(keys_of(backends, workspace_id, "files")) == 1

    def test_by_one_that_was_taken_over_leaves_nothing(
        self,
        ai: OpenAI,
        begin: Begin,
        rows: bytes,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
        backends: Backends,
        workspace_id: str,
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        written = assembly._written

        def taken_over(*args: object, **kwargs: object) -> object:
            monkeypatch.undo()
            with database.session(SYSTEM) as session:
                session.execute(text("update uploads set claimed_at = now() - interval '1 hour'"))
            assert ai.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"
            return written(*args, **kwargs)  # type: ignore[arg-type]

        monkeypatch.setattr(assembly, "_written", taken_over)
        with pytest.raises(openai.ConflictError):
            ai.uploads.complete(upload.id, part_ids=[part.id])
        assert len(ai.files.list().data) == 1
        assert len(keys_of(backends, workspace_id, "files")) == 1
        assert ai.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"

    def test_needs_exactly_the_bytes_that_were_announced(self, ai: OpenAI, begin: Begin, rows: bytes) -> None:
        upload = begin()
        first = ai.uploads.parts.create(upload.id, data=rows[:1000])
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.complete(upload.id, part_ids=[first.id])
        assert (caught.value.code, caught.value.param) == ("upload_incomplete", "part_ids")
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.complete(upload.id, part_ids=[first.id, "part_unknown"])
        assert caught.value.code == "part_not_found"
        last = ai.uploads.parts.create(upload.id, data=rows[1000:])
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.complete(upload.id, part_ids=[first.id, last.id, first.id])
        assert caught.value.code == "part_not_found"
        assert ai.uploads.complete(upload.id, part_ids=[first.id, last.id]).status == "completed"

    def test_compares_the_checksum_and_keeps_the_upload_open(
        self, ai: OpenAI, begin: Begin, rows: bytes, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.complete(upload.id, part_ids=[part.id], md5="0" * 32)
        assert (caught.value.code, caught.value.param) == ("checksum_mismatch", "md5")
        assert keys_of(backends, workspace_id, "files") == []
        assert ai.uploads.complete(upload.id, part_ids=[part.id]).status == "completed"

    @pytest.mark.parametrize(
        ("end", "code"),
        [(b'["a"]\n', "jsonl_not_object"), (b"\xff\xfe\n", "jsonl_malformed"), (b"\0\n", "file_not_text")],
    )
    def test_looks_at_the_examples_as_at_those_of_one_piece(
        self, ai: OpenAI, begin: Begin, rows: bytes, end: bytes, code: str, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin(len(rows) + len(end))
        parts = [ai.uploads.parts.create(upload.id, data=data) for data in (rows, end)]
        with pytest.raises(openai.BadRequestError, match="Row 21") as caught:
            ai.uploads.complete(upload.id, part_ids=[part.id for part in parts])
        assert caught.value.code == code
        assert keys_of(backends, workspace_id, "files") == []
        better = ai.uploads.parts.create(upload.id, data=b" " * (len(end) - 1) + b"\n")
        assert ai.uploads.complete(upload.id, part_ids=[parts[0].id, better.id]).status == "completed"

    def test_reads_far_beyond_what_a_first_look_sees(self, ai: OpenAI, begin: Begin) -> None:
        line = b'{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "x"}]}\n'
        begins, ends = line % (b"x" * 700_000) * 50, b"\0\n"
        upload = begin(len(begins) + len(ends))
        parts = [ai.uploads.parts.create(upload.id, data=data) for data in (begins, ends)]
        with pytest.raises(openai.BadRequestError, match="Row 51") as caught:
            ai.uploads.complete(upload.id, part_ids=[part.id for part in parts])
        assert caught.value.code == "file_not_text"

    def test_leaves_other_purposes_as_they_are(self, ai: OpenAI, begin: Begin) -> None:
        upload = begin(4, "picture.png", "user_data")
        part = ai.uploads.parts.create(upload.id, data=b"\x89PNG")
        done = ai.uploads.complete(upload.id, part_ids=[part.id])
        assert done.file is not None
        assert ai.files.content(done.file.id).read() == b"\x89PNG"


class TestTheHelperOfTheClient:
    def test_sends_a_file_in_parts(self, ai: OpenAI, tmp_path: Path) -> None:
        line = b'{"messages": [{"role": "user", "content": "%d"}, {"role": "assistant", "content": "x"}]}\n'
        data = b"".join(line % number for number in range(20_000))
        path = tmp_path / "many.jsonl"
        path.write_bytes(data)
        done = ai.uploads.upload_file_chunked(
            file=path, mime_type="text/jsonl", purpose="fine-tune", part_size=len(data) // 3 - 1
        )
        assert done.file is not None
        assert ai.files.content(done.file.id).read() == data
        assert len((done.model_extra or {})["parts"]) == 4


class TestParts:
    def test_are_listed_so_that_lost_ones_can_be_sent_again(self, ai: OpenAI, begin: Begin, rows: bytes) -> None:
        upload = begin()
        lost = ai.uploads.parts.create(upload.id, data=rows[:1000])
        again = ai.uploads.parts.create(upload.id, data=rows[:1000])
        found = ai.get(f"/uploads/{upload.id}", cast_to=Upload)
        parts = (found.model_extra or {})["parts"]
        assert [part["id"] for part in parts] == [lost.id, again.id]
        assert {(part["bytes"], part["sha256"]) for part in parts} == {(1000, hashlib.sha256(rows[:1000]).hexdigest())}

    def test_have_a_size(self, ai: OpenAI, begin: Begin, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        monkeypatch.setattr(uploads, "MAX_PART_BYTES", 1000)
        upload = begin()
        with pytest.raises(openai.APIStatusError) as caught:
            ai.uploads.parts.create(upload.id, data=b"x" * 1001)
        assert (caught.value.status_code, caught.value.code) == (413, "file_too_large")
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.parts.create(upload.id, data=b"")
        assert caught.value.code == "part_empty"
        assert list(settings.uploads_dir.iterdir()) == []

    def test_come_no_oftener_than_can_be_needed(
        self, ai: OpenAI, begin: Begin, monkeypatch: pytest.MonkeyPatch, backends: Backends, workspace_id: str
    ) -> None:
        monkeypatch.setattr(uploads, "MAX_PART_BYTES", 1000)
        upload = begin(1000)
        for _ in range(3):
            ai.uploads.parts.create(upload.id, data=b"x" * 1000)
        with pytest.raises(openai.ConflictError) as caught:
            ai.uploads.parts.create(upload.id, data=b"x")
        assert caught.value.code == "too_many_parts"
        assert len(keys_of(backends, workspace_id, "uploads")) == 3

    def test_of_a_small_upload_are_no_way_around_the_quota(
        self, ai: OpenAI, begin: Begin, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin(10)
        with pytest.raises(openai.ConflictError) as caught:
            ai.uploads.parts.create(upload.id, data=b"x" * 100_000)
        assert caught.value.code == "too_many_parts"
        assert keys_of(backends, workspace_id, "uploads") == []

    def test_sent_as_a_plain_field_count_too(self, base_url: str, begin: Begin, as_member: Headers) -> None:
        upload = begin(4)
        body = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\nwxyz\r\n--b--\r\n'
        headers = {**as_member, "content-type": "multipart/form-data; boundary=b"}
        answer = httpx2.post(f"{base_url}/uploads/{upload.id}/parts", content=body, headers=headers)
        assert answer.json()["bytes"] == 4
        empty = httpx2.post(f"{base_url}/uploads/{upload.id}/parts", content=b"--b--\r\n", headers=headers)
        assert (empty.status_code, empty.json()["error"]["code"]) == (400, "file_missing")


class TestEnds:
    def test_a_cancelled_upload_takes_no_more(
        self, ai: OpenAI, begin: Begin, rows: bytes, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        assert ai.uploads.cancel(upload.id).status == "cancelled"
        assert ai.uploads.cancel(upload.id).status == "cancelled"
        assert keys_of(backends, workspace_id, "uploads") == []
        for ask in (
            lambda: ai.uploads.parts.create(upload.id, data=rows),
            lambda: ai.uploads.complete(upload.id, part_ids=[part.id]),
        ):
            with pytest.raises(openai.ConflictError) as caught:
                ask()
            assert caught.value.code == "upload_cancelled"
            assert caught.value.response.headers["x-should-retry"] == "false"
        assert keys_of(backends, workspace_id, "uploads") == []

    def test_an_upload_that_is_left_alone_expires_and_is_swept(
        self, ai: OpenAI, begin: Begin, rows: bytes, database: Database, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        make_old(database, 3601)
        with pytest.raises(openai.ConflictError) as caught:
            ai.uploads.complete(upload.id, part_ids=[part.id])
        assert caught.value.code == "upload_expired"
        assert ai.get(f"/uploads/{upload.id}", cast_to=Upload).status == "expired"
        # a part may still be on its way
        assert sweep_files(database, backends.blobs) == 0
        make_old(database, 601)
        assert sweep_files(database, backends.blobs) == 1
        assert keys_of(backends, workspace_id, "uploads") == []
        assert sweep_files(database, backends.blobs) == 0

    def test_an_upload_whose_parts_come_slowly_stays_open(
        self, ai: OpenAI, begin: Begin, rows: bytes, database: Database
    ) -> None:
        upload = begin()
        make_old(database, 3000)
        first = ai.uploads.parts.create(upload.id, data=rows[:1000])
        make_old(database, 3000)
        last = ai.uploads.parts.create(upload.id, data=rows[1000:])
        assert ai.uploads.complete(upload.id, part_ids=[first.id, last.id]).status == "completed"

    def test_open_uploads_have_a_quota(self, app: FastAPI, client_of: ClientOf, as_member: Headers) -> None:
        limits = {"max_open_uploads_per_workspace": 2, "max_open_upload_bytes_per_workspace": 1000}
        app.state.settings = app.state.settings.model_copy(update=limits)
        ai = client_of(as_member)

        def create(num_bytes: int) -> Upload:
            return ai.uploads.create(bytes=num_bytes, filename="a.jsonl", mime_type="text/jsonl", purpose="fine-tune")

        first = create(600)
        for num_bytes in (401, 2000):
            with pytest.raises(openai.ConflictError) as caught:
                create(num_bytes)
            assert caught.value.code == "upload_quota_exceeded"
        create(100)
        with pytest.raises(openai.ConflictError):
            create(1)
        ai.uploads.cancel(first.id)
        create(1)

    def test_a_workspace_without_room_completes_nothing(
        self, ai: OpenAI, begin: Begin, rows: bytes, app: FastAPI, backends: Backends, workspace_id: str
    ) -> None:
        upload = begin()
        part = ai.uploads.parts.create(upload.id, data=rows)
        app.state.settings = app.state.settings.model_copy(update={"max_workspace_bytes": len(rows) - 1})
        with pytest.raises(openai.APIStatusError) as caught:
            ai.uploads.complete(upload.id, part_ids=[part.id])
        assert (caught.value.status_code, caught.value.code) == (413, "storage_quota_exceeded")
        assert keys_of(backends, workspace_id, "files") == []
        with pytest.raises(openai.APIStatusError) as caught:
            begin()
        assert caught.value.code == "storage_quota_exceeded"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "param"),
        [
            ({"bytes": 0}, "bytes"),
            ({"bytes": 8 * 1024**3 + 1}, "bytes"),
            ({"purpose": "assistants"}, "purpose"),
            ({"filename": "rows.exe"}, "file"),
            ({"mime_type": ""}, "mime_type"),
            ({"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
        ],
    )
    def test_what_could_not_become_a_file_does_not_begin(
        self, ai: OpenAI, changes: dict[str, object], param: str
    ) -> None:
        asked = {"bytes": 100, "filename": "a.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"} | changes
        with pytest.raises(openai.BadRequestError) as caught:
            ai.uploads.create(**asked)  # type: ignore[arg-type]
        assert caught.value.param == param

    def test_a_stranger_finds_no_upload(
        self, client_of: ClientOf, begin: Begin, as_stranger: Headers, as_viewer: Headers
    ) -> None:
        upload = begin()
        stranger = client_of(as_stranger)
        for ask in (
            lambda: stranger.uploads.parts.create(upload.id, data=b"x"),
            lambda: stranger.uploads.complete(upload.id, part_ids=["part_x"]),
            lambda: stranger.uploads.cancel(upload.id),
        ):
            with pytest.raises(openai.NotFoundError):
                ask()
        viewer = client_of(as_viewer)
        assert viewer.get(f"/uploads/{upload.id}", cast_to=Upload).id == upload.id
        with pytest.raises(openai.PermissionDeniedError):
            viewer.uploads.cancel(upload.id)

    def test_the_file_expires_as_it_was_asked_for(self, ai: OpenAI, rows: bytes) -> None:
        upload = ai.uploads.create(
            bytes=len(rows),
            filename="a.jsonl",
            mime_type="text/jsonl",
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 7200},
        )
        part = ai.uploads.parts.create(upload.id, data=rows)
        done = ai.uploads.complete(upload.id, part_ids=[part.id])
        assert done.file is not None
        assert done.file.expires_at == done.file.created_at + 7200
