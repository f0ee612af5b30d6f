"""Files as the unmodified client sends, lists, reads and deletes them."""

import base64
import codecs

import httpx2
import openai
import pytest
from openai import OpenAI
from sqlalchemy import text

from core.backends.registry import Backends
from core.db.session import SYSTEM, Database
from worker.tasks.sweeping import sweep_files

pytestmark = pytest.mark.stack

Headers = dict[str, str]


def make_old(database: Database, file_id: str, seconds: int) -> None:
    with database.session(SYSTEM) as session:
        moved = "update files set expires_at = expires_at - make_interval(secs => :s) where id = :id"
        session.execute(text(moved), {"s": seconds, "id": file_id})


def test_every_field_of_a_file_is_there(ai: OpenAI, rows: bytes) -> None:
    made = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
    assert (made.object, made.bytes, made.filename, made.purpose) == ("file", len(rows), "rows.jsonl", "fine-tune")
    assert (made.status, made.expires_at, made.status_details) == ("processed", None, None)
    assert made.id.startswith("file-")
    found = ai.files.retrieve(made.id)
    assert found == made
    answer = ai.files.content(made.id)
    assert answer.read() == rows
    assert answer.response.headers["content-disposition"] == 'attachment; filename="rows.jsonl"'


def test_a_byte_order_mark_is_no_reason_to_refuse(ai: OpenAI, rows: bytes) -> None:
    made = ai.files.create(file=("rows.jsonl", codecs.BOM_UTF8 + rows), purpose="fine-tune")
    assert made.status == "processed"


def test_what_is_no_jsonl_is_refused_in_the_words_that_programs_look_for(ai: OpenAI, rows: bytes) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ai.files.create(file=("rows.jsonl", rows + b'[{"role": "user"}]\n'), purpose="fine-tune")
    expected = (
        "Expected file to have JSONL format, where every line is a JSON dictionary. Line 21 is not a dictionary "
        '(HINT: line starts with: "[{"role": "user"}]...").'
    )
    assert caught.value.body is not None
    assert caught.value.body["message"].startswith(expected)  # type: ignore[index]
    assert "Row 21: Every line must be a JSON object" in caught.value.message
    assert (caught.value.code, caught.value.param, caught.value.type) == (
        "jsonl_not_object",
        "file",
        "invalid_request_error",
    )


class TestPurposes:
    @pytest.mark.parametrize("purpose", ["evals", "user_data"])
    def test_what_is_not_to_be_learned_from_is_kept_as_it_is(self, ai: OpenAI, purpose: str, model: str) -> None:
        content = b"%PDF-1.7\0anything"
        made = ai.files.create(file=("paper.pdf", content), purpose=purpose)  # type: ignore[arg-type]
        assert (made.purpose, made.status) == (purpose, "processed")
        assert ai.files.content(made.id).read() == content
        with pytest.raises(openai.BadRequestError) as caught:
            ai.fine_tuning.jobs.create(model=model, training_file=made.id)
        assert caught.value.code == "wrong_purpose"

    @pytest.mark.parametrize("purpose", ["assistants", "batch", "vision", "fine-tune-results"])
    def test_what_nothing_here_reads_is_refused_by_name(self, ai: OpenAI, rows: bytes, purpose: str) -> None:
        with pytest.raises(openai.BadRequestError, match=purpose) as caught:
            ai.files.create(file=("rows.jsonl", rows), purpose=purpose)  # type: ignore[arg-type]
        assert (caught.value.code, caught.value.param) == ("unsupported_purpose", "purpose")

    def test_a_purpose_that_comes_after_the_file_counts_too(self, base_url: str, as_member: Headers) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n\xff\xfe\0\r\n'
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b--\r\n'
        )
        headers = {**as_member, "content-type": "multipart/form-data; boundary=b"}
        answer = httpx2.post(f"{base_url}/files", content=body, headers=headers)
        assert (answer.status_code, answer.json()["bytes"]) == (200, 3), answer.text


class TestLists:
    def test_are_whole_unless_pages_are_asked_for(self, ai: OpenAI, rows: bytes) -> None:
        ids = [ai.files.create(file=(f"{n}.jsonl", rows), purpose="fine-tune").id for n in range(3)]
        other = ai.files.create(file=("notes.txt", b"notes"), purpose="user_data").id
        assert [file.id for file in ai.files.list()] == [other, *ids[::-1]]
        assert [file.id for file in ai.files.list(limit=10_000).data] == [other, *ids[::-1]]
        assert [file.id for file in ai.files.list(limit=1, order="asc")] == [*ids, other]
        assert [file.id for file in ai.files.list(purpose="user_data")] == [other]
        assert [file.id for file in ai.files.list(after=ids[1])] == [ids[0]]
        with pytest.raises(openai.BadRequestError):
            ai.files.list(limit=10_001)


class TestExpiry:
    def test_is_told_and_then_the_file_is_gone(
        self, ai: OpenAI, rows: bytes, database: Database, backends: Backends, workspace_id: str, model: str
    ) -> None:
        made = ai.files.create(
            file=("rows.jsonl", rows),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
        assert made.expires_at == made.created_at + 3600
        assert ai.files.retrieve(made.id).expires_at == made.expires_at
        make_old(database, made.id, 3601)
        for ask in (ai.files.retrieve, ai.files.content, ai.files.delete):
            with pytest.raises(openai.NotFoundError):
                ask(made.id)
        assert list(ai.files.list()) == []
        with pytest.raises(openai.NotFoundError):
            ai.fine_tuning.jobs.create(model=model, training_file=made.id)
        # what began before may still need it
        assert sweep_files(database, backends.blobs) == 0
        make_old(database, made.id, 200)
        assert sweep_files(database, backends.blobs) == 1
        assert backends.blobs.keys(f"workspaces/{workspace_id}/") == []
        assert sweep_files(database, backends.blobs) == 0

    def test_spares_the_bytes_that_a_dataset_was_made_of(
        self, ai: OpenAI, rows: bytes, database: Database, backends: Backends, workspace_id: str, model: str
    ) -> None:
        made = ai.files.create(
            file=("rows.jsonl", rows), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        ai.fine_tuning.jobs.create(model=model, training_file=made.id)
        make_old(database, made.id, 4000)
        assert sweep_files(database, backends.blobs) == 1
        assert len(backends.blobs.keys(f"workspaces/{workspace_id}/files/{made.id}")) == 1

    @pytest.mark.parametrize("seconds", [3599, 2_592_001])
    def test_has_bounds(self, ai: OpenAI, rows: bytes, seconds: int) -> None:
        with pytest.raises(openai.BadRequestError) as caught:
            ai.files.create(
                file=("rows.jsonl", rows),
                purpose="fine-tune",
                expires_after={"anchor": "created_at", "seconds": seconds},
            )
        assert (caught.value.code, caught.value.param) == ("out_of_range", "expires_after.seconds")


class TestRepeated:
    def test_a_retry_of_the_client_finds_the_first_file(self, ai: OpenAI, rows: bytes) -> None:
        first = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
        retried = ai.files.create(
            file=("rows.jsonl", rows), purpose="fine-tune", extra_headers={"x-stainless-retry-count": "1"}
        )
        assert retried.id == first.id
        meant = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
        assert meant.id != first.id
        assert len(ai.files.list().data) == 2

    def test_a_key_makes_one_file_and_leaves_no_bytes_twice(
        self, ai: OpenAI, rows: bytes, backends: Backends, workspace_id: str
    ) -> None:
        key = {"idempotency-key": "one"}
        made = {ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune", extra_headers=key).id for _ in range(2)}
        assert len(made) == 1
        assert len(backends.blobs.keys(f"workspaces/{workspace_id}/")) == 1
        with pytest.raises(openai.UnprocessableEntityError):
            ai.files.create(file=("other.jsonl", rows), purpose="fine-tune", extra_headers=key)

    def test_what_was_deleted_since_is_uploaded_anew(self, ai: OpenAI, rows: bytes) -> None:
        key = {"idempotency-key": "two"}
        first = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune", extra_headers=key)
        ai.files.delete(first.id)
        second = ai.files.create(file=("rows.jsonl", rows), purpose="fine-tune", extra_headers=key)
        assert second.id != first.id
        assert ai.files.content(second.id).read() == rows


def test_names_beyond_ascii_survive_the_way_back(ai: OpenAI, rows: bytes) -> None:
    made = ai.files.create(file=("fälle 2.jsonl", rows), purpose="fine-tune")
    header = ai.files.content(made.id).response.headers["content-disposition"]
    assert header == "attachment; filename=\"f_lle 2.jsonl\"; filename*=UTF-8''f%C3%A4lle%202.jsonl"


def test_content_may_be_asked_for_in_base64(ai: OpenAI, file_id: str, rows: bytes) -> None:
    encoded = ai.files.content(file_id, extra_query={"encoding": "base64"})
    assert base64.b64decode(encoded.read(), validate=True) == rows


def test_a_deleted_file_is_gone(ai: OpenAI, file_id: str) -> None:
    gone = ai.files.delete(file_id)
    assert (gone.id, gone.object, gone.deleted) == (file_id, "file", True)
    with pytest.raises(openai.NotFoundError) as caught:
        ai.files.retrieve(file_id)
    assert caught.value.code == "file_not_found"
    assert caught.value.request_id
