"""Datasets: create, get, list, rename, delete, restore."""

import pytest
from fastapi.testclient import TestClient

from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from tests.assets.bad_files import GOOD_CSV
from tests.conftest import Headers

pytestmark = pytest.mark.stack


def said(mapping: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in mapping.items() if value}


ABSENT = "ds_00000000000000000000000000"


def audited(client: TestClient, headers: Headers, action: str) -> list[str]:
    found = client.get("/v1/audit_events", headers=headers, params={"action": action}).json()["data"]
    return [event["target_id"] for event in found]


@pytest.fixture
def file_id(client: TestClient, as_member: Headers) -> str:
    made = client.post("/v1/files", headers=as_member, files={"file": ("my_tickets.csv", GOOD_CSV)})
    return str(made.json()["id"])


@pytest.fixture
def dataset_id(client: TestClient, as_member: Headers, file_id: str) -> str:
    return str(client.post("/v1/datasets", headers=as_member, json={"file_id": file_id}).json()["id"])


class TestCreate:
    def test_anonymous(self, client: TestClient, file_id: str) -> None:
        assert client.post("/v1/datasets", json={"file_id": file_id}).status_code == 401

    def test_a_stranger(self, client: TestClient, file_id: str, as_stranger: Headers) -> None:
        refused = client.post("/v1/datasets", headers=as_stranger, json={"file_id": file_id})
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "file_not_found")

    def test_a_viewer(self, client: TestClient, file_id: str, as_viewer: Headers) -> None:
        assert client.post("/v1/datasets", headers=as_viewer, json={"file_id": file_id}).status_code == 403

    @pytest.mark.parametrize(
        ("changes", "code", "param"),
        [
            ({"mapping": {"question": "q", "answer": "answer"}}, "mapping_column_unknown", "mapping.question"),
            ({"mapping": {"question": "answer", "answer": "answer"}}, "mapping_same_column", "mapping"),
            ({"mapping": {"question": "question"}}, "mapping_incomplete", "mapping.answer"),
            ({"name": "  "}, "invalid_name", "name"),
            ({"name": "x" * 201}, "invalid_name", "name"),
            ({"names": "x"}, "invalid_value", "names"),
        ],
    )
    def test_what_does_not_fit(
        self, client: TestClient, file_id: str, as_member: Headers, changes: dict[str, object], code: str, param: str
    ) -> None:
        refused = client.post("/v1/datasets", headers=as_member, json={"file_id": file_id, **changes})
        assert refused.status_code == 400
        assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == (code, param)

    def test_columns_that_nobody_can_guess(self, client: TestClient, as_member: Headers) -> None:
        numbers = b"one,two\n" + b"".join(b"%d,%d.5\n" % (number, number) for number in range(12))
        file = client.post("/v1/files", headers=as_member, files={"file": ("n.csv", numbers)}).json()
        assert file["inspection"]["mapping"] is None
        refused = client.post("/v1/datasets", headers=as_member, json={"file_id": file["id"]}).json()["error"]
        assert (refused["code"], refused["details"]["columns"]) == ("mapping_needed", ["one", "two"])
        chosen = {"file_id": file["id"], "mapping": {"question": "one", "answer": "two"}}
        assert client.post("/v1/datasets", headers=as_member, json=chosen).status_code == 200

    def test_begins_to_validate(self, client: TestClient, file_id: str, as_admin: Headers, backends: Backends) -> None:
        dataset = client.post("/v1/datasets", headers=as_admin, json={"file_id": file_id}).json()
        version = dataset["latest_version"]
        assert (dataset["object"], dataset["name"], dataset["file_id"]) == ("dataset", "my tickets", file_id)
        assert (version["object"], version["number"], version["status"]) == ("dataset_version", 1, "validating")
        assert (version["progress"], version["num_rows"], version["error"]) == (0.0, 0, None)
        assert said(version["mapping"]) == {"question": "question", "answer": "answer"}
        assert isinstance(backends.queue, RecordingTaskQueue)
        assert backends.queue.rung == [("io", version["job_id"])]
        assert audited(client, as_admin, "dataset.created") == [dataset["id"]]

    def test_a_retry_finds_the_first(self, client: TestClient, file_id: str, as_member: Headers) -> None:
        headers = {**as_member, "idempotency-key": "once"}
        first = client.post("/v1/datasets", headers=headers, json={"file_id": file_id})
        second = client.post("/v1/datasets", headers=headers, json={"file_id": file_id})
        assert second.json() == first.json()
        assert len(client.get("/v1/datasets", headers=as_member).json()["data"]) == 1


class TestGet:
    def test_anonymous(self, client: TestClient, dataset_id: str) -> None:
        assert client.get(f"/v1/datasets/{dataset_id}").status_code == 401

    def test_a_stranger_and_nobody_read_the_same(
        self, client: TestClient, dataset_id: str, as_stranger: Headers
    ) -> None:
        foreign = client.get(f"/v1/datasets/{dataset_id}", headers=as_stranger)
        absent = client.get(f"/v1/datasets/{ABSENT}", headers=as_stranger)
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert foreign.text.replace(dataset_id, "") == absent.text.replace(ABSENT, "")

    def test_a_viewer(self, client: TestClient, dataset_id: str, as_viewer: Headers) -> None:
        assert client.get(f"/v1/datasets/{dataset_id}", headers=as_viewer).json()["id"] == dataset_id


class TestList:
    def test_anonymous(self, client: TestClient) -> None:
        assert client.get("/v1/datasets").status_code == 401

    def test_a_stranger_finds_nothing(self, client: TestClient, dataset_id: str, as_stranger: Headers) -> None:
        assert client.get("/v1/datasets", headers=as_stranger).json()["data"] == []

    def test_pages_newest_first(self, client: TestClient, file_id: str, as_member: Headers) -> None:
        ids = [
            client.post("/v1/datasets", headers=as_member, json={"file_id": file_id, "name": name}).json()["id"]
            for name in ("one", "two", "three")
        ]
        first = client.get("/v1/datasets", headers=as_member, params={"limit": 2}).json()
        assert ([item["id"] for item in first["data"]], first["has_more"]) == (ids[:0:-1], True)
        rest = client.get("/v1/datasets", headers=as_member, params={"after": first["last_id"]}).json()
        assert ([item["id"] for item in rest["data"]], rest["has_more"]) == (ids[:1], False)


class TestRename:
    def test_anonymous(self, client: TestClient, dataset_id: str) -> None:
        assert client.patch(f"/v1/datasets/{dataset_id}", json={"name": "x"}).status_code == 401

    def test_a_stranger(self, client: TestClient, dataset_id: str, as_stranger: Headers) -> None:
        assert client.patch(f"/v1/datasets/{dataset_id}", headers=as_stranger, json={"name": "x"}).status_code == 404

    def test_a_viewer(self, client: TestClient, dataset_id: str, as_viewer: Headers) -> None:
        assert client.patch(f"/v1/datasets/{dataset_id}", headers=as_viewer, json={"name": "x"}).status_code == 403

    def test_a_name_that_is_none(self, client: TestClient, dataset_id: str, as_member: Headers) -> None:
        refused = client.patch(f"/v1/datasets/{dataset_id}", headers=as_member, json={"name": "\u200b"})
        assert refused.json()["error"]["code"] == "invalid_name"

    def test_changes_the_name_alone(self, client: TestClient, dataset_id: str, as_admin: Headers) -> None:
        before = client.get(f"/v1/datasets/{dataset_id}", headers=as_admin).json()
        after = client.patch(f"/v1/datasets/{dataset_id}", headers=as_admin, json={"name": " Claims  desk "}).json()
        assert after == {**before, "name": "Claims desk"}
        assert audited(client, as_admin, "dataset.renamed") == [dataset_id]


class TestDeleteAndRestore:
    def test_anonymous(self, client: TestClient, dataset_id: str) -> None:
        assert client.delete(f"/v1/datasets/{dataset_id}").status_code == 401
        assert client.post(f"/v1/datasets/{dataset_id}/restore").status_code == 401

    def test_a_stranger(self, client: TestClient, dataset_id: str, as_stranger: Headers) -> None:
        assert client.delete(f"/v1/datasets/{dataset_id}", headers=as_stranger).status_code == 404
        assert client.post(f"/v1/datasets/{dataset_id}/restore", headers=as_stranger).status_code == 404

    def test_a_viewer(self, client: TestClient, dataset_id: str, as_viewer: Headers) -> None:
        assert client.delete(f"/v1/datasets/{dataset_id}", headers=as_viewer).status_code == 403
        assert client.post(f"/v1/datasets/{dataset_id}/restore", headers=as_viewer).status_code == 403

    def test_a_deleted_one_is_hidden_until_it_is_restored(
        self, client: TestClient, dataset_id: str, as_admin: Headers
    ) -> None:
        before = client.get(f"/v1/datasets/{dataset_id}", headers=as_admin).json()
        gone = client.delete(f"/v1/datasets/{dataset_id}", headers=as_admin)
        assert gone.json() == {"id": dataset_id, "object": "dataset", "deleted": True}
        assert client.get(f"/v1/datasets/{dataset_id}", headers=as_admin).status_code == 404
        assert client.get("/v1/datasets", headers=as_admin).json()["data"] == []
        assert client.patch(f"/v1/datasets/{dataset_id}", headers=as_admin, json={"name": "x"}).status_code == 404
        assert client.delete(f"/v1/datasets/{dataset_id}", headers=as_admin).status_code == 404
        for _ in range(2):
            restored = client.post(f"/v1/datasets/{dataset_id}/restore", headers=as_admin)
            assert restored.json() == before
        assert audited(client, as_admin, "dataset.deleted") == [dataset_id]
        assert audited(client, as_admin, "dataset.restored") == [dataset_id]

    def test_a_version_of_a_deleted_one_can_still_be_read(
        self, client: TestClient, dataset_id: str, as_member: Headers
    ) -> None:
        dataset = client.get(f"/v1/datasets/{dataset_id}", headers=as_member).json()
        client.delete(f"/v1/datasets/{dataset_id}", headers=as_member)
        found = client.get(f"/v1/dataset_versions/{dataset['latest_version']['id']}", headers=as_member)
        assert found.json()["dataset_id"] == dataset_id
