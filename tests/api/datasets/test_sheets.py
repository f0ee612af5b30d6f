"""A sheet of a workbook: found at the upload, looked at before it is chosen, and read for a version."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import Headers
from tests.factories.workbooks import BOOK, MAILS, xlsx

pytestmark = pytest.mark.stack

MAILS_READ = {"sheet": "Mails", "question": "asked", "answer": "told"}


def said(mapping: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in mapping.items() if value}


@pytest.fixture
def file(client: TestClient, as_member: Headers) -> dict[str, Any]:
    made = client.post("/v1/files", headers=as_member, files={"file": ("book.xlsx", xlsx(BOOK, hidden=["Empty"]))})
    assert made.status_code == 200, made.text
    found: dict[str, Any] = made.json()
    return found


def posted(client: TestClient, headers: Headers, path: str, body: dict[str, object]) -> dict[str, Any]:
    answer = client.post(path, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_file_tells_its_sheets_and_which_was_looked_at(file: dict[str, Any]) -> None:
    inspection = file["inspection"]
    assert (inspection["sheets"], inspection["sheet"]) == (["Read me", "Tickets", "Mails", "Better"], "Tickets")
    assert [notice["code"] for notice in inspection["notices"]] == ["sheet_chosen"]
    assert said(inspection["mapping"]) == {"sheet": "Tickets", "question": "question", "answer": "answer"}


def test_each_sheet_is_previewed_with_its_own_columns(
    client: TestClient, as_member: Headers, file: dict[str, Any]
) -> None:
    path = f"/v1/files/{file['id']}/preview"
    found = posted(client, as_member, path, {})
    assert (found["sheet"], len(found["sheets"]), found["num_rows"]) == ("Tickets", 4, 12)
    found = posted(client, as_member, path, {"mapping": {"sheet": "Mails"}})
    assert ([column["name"] for column in found["columns"]], found["num_rows"]) == (["asked", "told", "by"], 15)
    assert said(found["mapping"]) == MAILS_READ
    found = posted(client, as_member, path, {"mapping": {**MAILS_READ, "question": "told", "answer": "by"}})
    assert found["sample"][0]["messages"][1]["content"] == "Kim"
    found = posted(client, as_member, path, {"mapping": {"sheet": "Better"}})
    assert (found["kind"], found["columns"], found["num_rows"]) == ("preference", [], 11)


def test_a_dataset_is_read_from_the_sheet_that_is_said(
    client: TestClient, as_member: Headers, file: dict[str, Any]
) -> None:
    def version(mapping: dict[str, object] | None) -> tuple[str, dict[str, object] | None]:
        body = {"file_id": file["id"], "mapping": mapping}
        found = posted(client, as_member, "/v1/datasets", body)["latest_version"]
        return found["kind"], found["mapping"] and said(found["mapping"])

    tickets = {"sheet": "Tickets", "question": "question", "answer": "answer"}
    assert version(None) == ("chat", tickets)
    assert version({"question": "question", "answer": "answer"}) == ("chat", tickets)
    assert version({"sheet": "Mails"}) == ("chat", MAILS_READ)
    assert version({**MAILS_READ, "answer": "by"}) == ("chat", {**MAILS_READ, "answer": "by"})
    assert version({"sheet": "Better"}) == ("preference", {"sheet": "Better"})
    assert version({"sheet": "Mails", "text": "told"}) == ("text", {"sheet": "Mails", "text": "told"})


def test_a_version_may_read_another_sheet(client: TestClient, as_member: Headers, file: dict[str, Any]) -> None:
    dataset = posted(client, as_member, "/v1/datasets", {"file_id": file["id"]})
    path = f"/v1/datasets/{dataset['id']}/versions"
    made = posted(client, as_member, path, {"mapping": {"sheet": "Mails"}})
    assert (made["number"], said(made["mapping"])) == (2, MAILS_READ)
    refused = client.post(path, headers=as_member, json={"mapping": {"sheet": "Mehls"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "sheet_unknown")


def test_columns_are_remembered_without_the_sheet_they_were_on(
    client: TestClient, as_member: Headers, file: dict[str, Any]
) -> None:
    chosen = {**MAILS_READ, "answer": "by"}
    posted(client, as_member, "/v1/datasets", {"file_id": file["id"], "mapping": chosen})
    [kept] = client.get("/v1/column_mappings", headers=as_member).json()["data"]
    assert said(kept["mapping"]) == {"question": "asked", "answer": "by"}
    found = posted(client, as_member, f"/v1/files/{file['id']}/preview", {"mapping": {"sheet": "Mails"}})
    assert (found["remembered_mapping_id"], said(found["mapping"])) == (kept["id"], chosen)
    other = client.post("/v1/files", headers=as_member, files={"file": ("o.xlsx", xlsx({"A": [], "B": MAILS}))}).json()
    found = posted(client, as_member, f"/v1/files/{other['id']}/preview", {})
    assert said(found["mapping"]) == {**chosen, "sheet": "B"}


@pytest.mark.parametrize(
    ("mapping", "code", "param"),
    [
        ({"sheet": "Mehls"}, "sheet_unknown", "mapping.sheet"),
        ({"sheet": "Empty"}, "sheet_unknown", "mapping.sheet"),
        ({"sheet": "Read me"}, "too_few_columns", "file"),
        ({"sheet": "Mails", "question": "question", "answer": "told"}, "mapping_column_unknown", "mapping.question"),
        ({"sheet": ""}, "invalid_value", "mapping.sheet"),
    ],
)
def test_a_sheet_that_cannot_be_read_is_refused_before_anything_is_made(
    client: TestClient, as_member: Headers, file: dict[str, Any], mapping: dict[str, object], code: str, param: str
) -> None:
    for path in ("/v1/datasets", f"/v1/files/{file['id']}/preview"):
        body = {"mapping": mapping} | ({"file_id": file["id"]} if path == "/v1/datasets" else {})
        refused = client.post(path, headers=as_member, json=body)
        assert refused.status_code == 400, refused.text
        assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == (code, param)
    assert client.get("/v1/datasets", headers=as_member).json()["data"] == []


def test_a_file_without_sheets_has_none_to_choose(client: TestClient, as_member: Headers) -> None:
    content = b"question,answer\n" + b"".join(b"What is %d?,It.\n" % number for number in range(12))
    file_id = client.post("/v1/files", headers=as_member, files={"file": ("t.csv", content)}).json()["id"]
    body = {"file_id": file_id, "mapping": {"sheet": "Tickets"}}
    refused = client.post("/v1/datasets", headers=as_member, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "sheet_not_needed")


def test_strangers_and_viewers_do_not_look_at_sheets(
    client: TestClient, as_stranger: Headers, as_viewer: Headers, file: dict[str, Any]
) -> None:
    body = {"file_id": file["id"], "mapping": {"sheet": "Mails"}}
    assert client.post("/v1/datasets", headers=as_stranger, json=body).json()["error"]["code"] == "file_not_found"
    assert client.post("/v1/datasets", headers=as_viewer, json=body).status_code == 403
    assert client.post("/v1/datasets", json=body).status_code == 401
