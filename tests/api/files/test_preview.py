"""The first rows under a mapping that is being chosen; what was chosen is remembered."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.datasets import preview
from core.datasets.inspection import Portion
from tests.conftest import Headers

pytestmark = pytest.mark.stack

Upload = Callable[..., str]
TICKETS = "ticket_id,at,who,said\n" + "".join(
    f"T{number},2026-11-02 10:0{turn},{who},{said} {number}\n"
    for number in range(12)
    for turn, (who, said) in enumerate([("Kim", "Is it open?"), ("Ben", "Yes.")])
)
PAIRS = "asked,told,more\n" + "".join(f"question {number} is,answer {number} is,no {number}\n" for number in range(12))
CHAT = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n' * 12
THREADS = {"conversation": "ticket_id", "time": "at", "speaker": "who", "message": "said"}


@pytest.fixture
def upload(client: TestClient, as_member: Headers) -> Upload:
    def upload(content: str, name: str = "ours.csv", headers: Headers = as_member) -> str:
        made = client.post("/v1/files", headers=headers, files={"file": (name, content.encode())})
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    return upload


@pytest.fixture
def previewed(client: TestClient, as_member: Headers) -> Callable[..., dict[str, Any]]:
    def previewed(
        file_id: str, mapping: dict[str, object] | None = None, headers: Headers = as_member
    ) -> dict[str, Any]:
        answer = client.post(f"/v1/files/{file_id}/preview", headers=headers, json={"mapping": mapping})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return previewed


def said(row: dict[str, Any]) -> list[str]:
    return [message["content"] for message in row["messages"]]


class TestWho:
    def test_may_not(self, client: TestClient, upload: Upload, as_viewer: Headers, as_stranger: Headers) -> None:
        path = f"/v1/files/{upload(PAIRS)}/preview"
        assert client.post(path, json={}).status_code == 401
        assert client.post(path, headers=as_viewer, json={}).status_code == 403
        assert client.post(path, headers=as_stranger, json={}).json()["error"]["code"] == "file_not_found"


class TestPreview:
    def test_shows_rows_under_each_mapping(self, upload: Upload, previewed: Callable[..., dict[str, Any]]) -> None:
        file_id = upload(PAIRS)
        found = previewed(file_id)
        assert said(found["sample"][0]) == ["question 0 is", "answer 0 is"]
        assert (found["num_records"], found["num_rows"], found["num_problems"], found["is_complete"]) == (
            12,
            12,
            0,
            True,
        )
        found = previewed(file_id, {"question": "told", "answer": "asked", "system_text": "Be kind"})
        assert said(found["sample"][0]) == ["Be kind", "answer 0 is", "question 0 is"]
        found = previewed(file_id, {"question": "asked", "chosen": "told", "rejected": "more"})
        assert (found["kind"], found["sample"][0]["rejected"][0]["content"]) == ("preference", "no 0")
        found = previewed(file_id, {"text": "told"})
        assert (found["kind"], found["sample"][0]["text"]) == ("text", "answer 0 is")

    def test_puts_messages_together_once_it_is_told_who_answers(
        self, upload: Upload, previewed: Callable[..., dict[str, Any]]
    ) -> None:
        file_id = upload(TICKETS)
        found = previewed(file_id)
        assert (found["mapping"], found["sample"]) == (None, [])
        expected = [{"value": name, "num_messages": 12} for name in ("Kim", "Ben")]
        assert found["speakers"] == expected
        assert previewed(file_id, dict(THREADS))["speakers"] == expected
        found = previewed(file_id, {**THREADS, "assistant_speakers": ["Ben"]})
        assert (found["num_records"], found["num_rows"], found["num_problems"]) == (24, 12, 0)
        assert [(row["row"], said(row)) for row in found["sample"][:2]] == [
            (2, ["Is it open? 0", "Yes. 0"]),
            (4, ["Is it open? 1", "Yes. 1"]),
        ]
        found = previewed(file_id, {**THREADS, "assistant_speakers": ["Nobody"]})
        assert {problem["code"] for problem in found["problems"]} == {"no_answer"}

    def test_of_a_large_file_looks_at_the_beginning(
        self, upload: Upload, previewed: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file_id = upload(PAIRS)
        monkeypatch.setattr(preview, "PORTION", Portion(num_records=10, num_bytes=1000))
        monkeypatch.setattr(preview, "_READ_BYTES", 500)
        found = previewed(file_id)
        assert (found["num_records"], found["is_complete"]) == (10, False)

    @pytest.mark.parametrize(
        ("content", "name", "mapping", "code"),
        [
            (PAIRS, "a.csv", {"question": "asked"}, "mapping_incomplete"),
            (PAIRS, "a.csv", {"question": "asked", "answer": "nowhere"}, "mapping_column_unknown"),
            (PAIRS, "a.csv", {"question": "asked", "answer": "told", "text": "more"}, "mapping_mixed"),
            (PAIRS, "a.csv", {"question": "asked", "answers": "told"}, "invalid_value"),
            (CHAT, "a.jsonl", {"question": "a", "answer": "b"}, "mapping_not_needed"),
        ],
    )
    def test_a_mapping_that_does_not_fit_is_refused(
        self,
        client: TestClient,
        as_member: Headers,
        upload: Upload,
        content: str,
        name: str,
        mapping: object,
        code: str,
    ) -> None:
        answer = client.post(f"/v1/files/{upload(content, name)}/preview", headers=as_member, json={"mapping": mapping})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)

    def test_rows_that_say_what_they_are_need_none(
        self, upload: Upload, previewed: Callable[..., dict[str, Any]]
    ) -> None:
        found = previewed(upload(CHAT, "a.jsonl"))
        assert (found["shape"], found["mapping"], found["num_rows"]) == ("openai_chat", None, 12)


CHOSEN = {"question": "told", "answer": "asked"}


class TestRemembered:
    @pytest.fixture
    def kept(self, client: TestClient, as_admin: Headers, upload: Upload) -> dict[str, Any]:
        made = client.post("/v1/datasets", headers=as_admin, json={"file_id": upload(PAIRS), "mapping": CHOSEN})
        assert made.status_code == 200
        [kept] = client.get("/v1/column_mappings", headers=as_admin).json()["data"]
        return dict(kept)

    def test_is_proposed_for_the_same_columns_in_any_order(
        self,
        client: TestClient,
        as_admin: Headers,
        upload: Upload,
        previewed: Callable[..., dict[str, Any]],
        kept: dict[str, Any],
    ) -> None:
        assert kept["columns"] == ["asked", "more", "told"]
        again = upload("told,more,asked\n" + "an answer,no,a question\n" * 12)
        found = previewed(again)
        assert found["remembered_mapping_id"] == kept["id"]
        assert said(found["sample"][0]) == ["an answer", "a question"]
        version = client.post("/v1/datasets", headers=as_admin, json={"file_id": again}).json()["latest_version"]
        assert {role: name for role, name in version["mapping"].items() if name} == CHOSEN
        other = previewed(upload(PAIRS.replace("more", "others", 1)))
        assert other["remembered_mapping_id"] is None

    def test_what_is_proposed_anyway_is_not_kept(self, client: TestClient, as_admin: Headers, upload: Upload) -> None:
        body = {"file_id": upload(PAIRS), "mapping": {"question": "asked", "answer": "told"}}
        assert client.post("/v1/datasets", headers=as_admin, json=body).status_code == 200
        assert client.get("/v1/column_mappings", headers=as_admin).json()["data"] == []

    def test_the_last_choice_counts(
        self,
        client: TestClient,
        as_admin: Headers,
        upload: Upload,
        previewed: Callable[..., dict[str, Any]],
        kept: dict[str, Any],
    ) -> None:
        body = {"file_id": upload(PAIRS), "mapping": {"question": "asked", "answer": "told"}}
        client.post("/v1/datasets", headers=as_admin, json=body)
        found = previewed(body["file_id"])
        assert found["remembered_mapping_id"] == kept["id"]
        assert said(found["sample"][0]) == ["question 0 is", "answer 0 is"]

    def test_is_forgotten_on_request(
        self,
        client: TestClient,
        as_admin: Headers,
        as_viewer: Headers,
        as_stranger: Headers,
        upload: Upload,
        previewed: Callable[..., dict[str, Any]],
        kept: dict[str, Any],
    ) -> None:
        path = f"/v1/column_mappings/{kept['id']}"
        assert client.delete(path, headers=as_viewer).status_code == 403
        assert client.delete(path, headers=as_stranger).json()["error"]["code"] == "column_mapping_not_found"
        assert client.delete(path, headers=as_admin).json()["deleted"] is True
        assert client.delete(path, headers=as_admin).status_code == 404
        assert previewed(upload(PAIRS))["remembered_mapping_id"] is None
        for action in ("column_mapping.remembered", "column_mapping.forgotten"):
            found = client.get("/v1/audit_events", headers=as_admin, params={"action": action}).json()["data"]
            assert [event["target_id"] for event in found] == [kept["id"]]

    def test_another_workspace_is_proposed_nothing(
        self,
        client: TestClient,
        as_stranger: Headers,
        upload: Upload,
        previewed: Callable[..., dict[str, Any]],
        kept: dict[str, Any],
    ) -> None:
        found = previewed(upload(PAIRS, headers=as_stranger), headers=as_stranger)
        assert found["remembered_mapping_id"] is None
        assert client.get("/v1/column_mappings", headers=as_stranger).json()["data"] == []
