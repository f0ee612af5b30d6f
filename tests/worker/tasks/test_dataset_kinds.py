"""Preferences, tools and plain text the whole way: API, job, child process, Postgres, the wire, a run folder."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.base_models import service as base_models
from core.datasets import service as datasets
from core.datasets.types import Split
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs.kinds import QueueName
from tests.conftest import Headers
from tests.factories.tokenizer import put_tokenizer
from tests.factories.training import put_base_model_on_disk
from worker.app import work_once
from worker.context import WorkContext
from worker.tasks import run_folder

pytestmark = pytest.mark.stack

CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"shelf": 3}'}}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def preference(number: int) -> dict[str, Any]:
    return {
        "input": {"messages": [{"role": "user", "content": f"What is {number}?"}]},
        "preferred_output": [{"role": "assistant", "content": "A number, Ann_a."}],
        "non_preferred_output": [{"role": "assistant", "content": f"Thing {number}"}],
    }


def with_tools(number: int) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": f"Where is {number}?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "On shelf 3.", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "On shelf 3.", "weight": 0.5},
        ],
        "tools": [TOOL],
    }


LINES: dict[str, list[dict[str, Any]]] = {
    "preference": [preference(number) for number in range(12)],
    "chat": [with_tools(number) for number in range(12)],
    "text": [{"text": f"Chapter {number}. Once upon a time, Ann_a."} for number in range(12)],
}


@pytest.fixture
def ready_context(context: WorkContext) -> WorkContext:
    put_tokenizer(base_models.folder(context.settings, put_base_model_on_disk(context.settings)))
    return context


def make(client: TestClient, headers: Headers, context: WorkContext, kind: str) -> dict[str, Any]:
    content = b"".join(orjson.dumps(line) + b"\n" for line in LINES[kind])
    file = client.post("/v1/files", headers=headers, files={"file": ("rows.jsonl", content)}).json()
    assert file["inspection"]["kind"] == kind
    made = client.post("/v1/datasets", headers=headers, json={"file_id": file["id"]}).json()["latest_version"]
    assert made["kind"] == kind
    assert work_once(context, QueueName.IO)
    ready: dict[str, Any] = client.get(f"/v1/dataset_versions/{made['id']}", headers=headers).json()
    assert (ready["status"], ready["kind"], ready["num_rows"]) == ("ready", kind, 12), ready["error"]
    return ready


@pytest.mark.parametrize("kind", list(LINES))
def test_rows_of_a_kind_reach_the_wire_and_the_run_folder_whole(
    client: TestClient, as_member: Headers, ready_context: WorkContext, workspace_id: str, tmp_path: Path, kind: str
) -> None:
    version_id = make(client, as_member, ready_context, kind)["id"]
    rows = client.get(f"/v1/dataset_versions/{version_id}/rows", headers=as_member, params={"limit": 100}).json()
    given, row = LINES[kind][0], rows["data"][0]
    shown = {name: row[name] for name in ("messages", "tools", "chosen", "rejected", "text") if row[name]}
    expected = given
    if kind == "preference":
        expected = {
            "messages": given["input"]["messages"],
            "chosen": given["preferred_output"],
            "rejected": given["non_preferred_output"],
        }
    assert shown == expected
    with ready_context.database.session(workspace_scope(workspace_id)) as session:
        stream = datasets.stream_rows(session, workspace_id=workspace_id, version_id=version_id, split=Split.TRAIN)
        assert run_folder.write_rows(tmp_path / "train.jsonl", stream) == 11
    written = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert {"number": row["number"]} | expected in written


@pytest.mark.parametrize(
    ("kind", "words", "num_found"),
    [("preference", "ann_A", 12), ("preference", "thing 7", 1), ("text", "ANN_a", 12), ("chat", "shelf", 12),
     ("chat", "nobody", 0), ("text", "chapter 1", 3)],
)  # fmt: skip
def test_rows_of_every_kind_are_searched(
    client: TestClient, as_member: Headers, ready_context: WorkContext, kind: str, words: str, num_found: int
) -> None:
    url = f"/v1/dataset_versions/{make(client, as_member, ready_context, kind)['id']}/rows"
    found = client.get(url, headers=as_member, params={"q": words, "limit": 100}).json()["data"]
    assert len(found) == num_found


def test_another_workspace_sees_no_row_of_any_kind(
    client: TestClient, as_member: Headers, as_stranger: Headers, ready_context: WorkContext, database: Database
) -> None:
    for kind in LINES:
        version_id = make(client, as_member, ready_context, kind)["id"]
        assert client.get(f"/v1/dataset_versions/{version_id}/rows", headers=as_stranger).status_code == 404
        with database.session(workspace_scope("ws_another")) as session:
            found = session.execute(text("select count(*) from rows where reading_id = :id"), {"id": version_id})
            assert found.scalar_one() == 0


def test_the_database_takes_no_kind_that_is_none(
    client: TestClient, as_member: Headers, ready_context: WorkContext, database: Database
) -> None:
    version_id = make(client, as_member, ready_context, "text")["id"]
    with pytest.raises(IntegrityError), database.session(SYSTEM) as session:
        session.execute(text("update dataset_versions set kind = 'poem' where id = :id"), {"id": version_id})
