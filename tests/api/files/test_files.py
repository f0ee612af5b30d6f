"""GET, list, content, DELETE of files; the samples."""

import pytest
from fastapi.testclient import TestClient

from core.backends.registry import Backends
from tests.assets.bad_files import GOOD_CSV
from tests.conftest import Headers

pytestmark = pytest.mark.stack


@pytest.fixture
def file_id(client: TestClient, as_member: Headers) -> str:
    made = client.post("/v1/files", headers=as_member, files={"file": ("tickets.csv", GOOD_CSV)})
    return str(made.json()["id"])


class TestGet:
    def test_anonymous(self, client: TestClient, file_id: str) -> None:
        assert client.get(f"/v1/files/{file_id}").status_code == 401

    def test_a_stranger_sees_what_is_not_there(self, client: TestClient, file_id: str, as_stranger: Headers) -> None:
        foreign = client.get(f"/v1/files/{file_id}", headers=as_stranger)
        assert (foreign.status_code, foreign.json()["error"]["code"]) == (404, "file_not_found")

    def test_a_viewer(self, client: TestClient, file_id: str, as_viewer: Headers) -> None:
        assert client.get(f"/v1/files/{file_id}", headers=as_viewer).json()["id"] == file_id


class TestList:
    def test_anonymous(self, client: TestClient) -> None:
        assert client.get("/v1/files").status_code == 401

    def test_a_stranger_finds_nothing(self, client: TestClient, file_id: str, as_stranger: Headers) -> None:
        assert client.get("/v1/files", headers=as_stranger).json()["data"] == []

    def test_pages_in_both_directions(self, client: TestClient, as_member: Headers) -> None:
        ids = [
            client.post("/v1/files", headers=as_member, files={"file": (f"{number}.csv", GOOD_CSV)}).json()["id"]
            for number in range(3)
        ]
        for order, expected in (("asc", ids), ("desc", ids[::-1])):
            first = client.get("/v1/files", headers=as_member, params={"limit": 2, "order": order}).json()
            assert [file["id"] for file in first["data"]] == expected[:2]
            assert first["has_more"] is True
            params = {"limit": 2, "order": order, "after": first["last_id"]}
            second = client.get("/v1/files", headers=as_member, params=params).json()
            assert [file["id"] for file in second["data"]] == expected[2:]
            assert second["has_more"] is False


class TestContent:
    def test_anonymous(self, client: TestClient, file_id: str) -> None:
        assert client.get(f"/v1/files/{file_id}/content").status_code == 401

    def test_a_stranger(self, client: TestClient, file_id: str, as_stranger: Headers) -> None:
        assert client.get(f"/v1/files/{file_id}/content", headers=as_stranger).status_code == 404

    def test_is_what_was_uploaded(self, client: TestClient, file_id: str, as_viewer: Headers) -> None:
        found = client.get(f"/v1/files/{file_id}/content", headers=as_viewer)
        assert found.content == GOOD_CSV
        assert found.headers["content-disposition"] == 'attachment; filename="tickets.csv"'


class TestDelete:
    def test_anonymous(self, client: TestClient, file_id: str) -> None:
        assert client.delete(f"/v1/files/{file_id}").status_code == 401

    def test_a_stranger(self, client: TestClient, file_id: str, as_stranger: Headers) -> None:
        assert client.delete(f"/v1/files/{file_id}", headers=as_stranger).status_code == 404

    def test_a_viewer(self, client: TestClient, file_id: str, as_viewer: Headers) -> None:
        assert client.delete(f"/v1/files/{file_id}", headers=as_viewer).status_code == 403

    def test_takes_the_bytes_away_too(
        self, client: TestClient, file_id: str, as_admin: Headers, backends: Backends, workspace_id: str
    ) -> None:
        gone = client.delete(f"/v1/files/{file_id}", headers=as_admin)
        assert gone.json() == {"id": file_id, "object": "file", "deleted": True}
        assert client.get(f"/v1/files/{file_id}", headers=as_admin).status_code == 404
        assert client.delete(f"/v1/files/{file_id}", headers=as_admin).status_code == 404
        assert backends.blobs.keys(f"workspaces/{workspace_id}/") == []
        events = client.get("/v1/audit_events", headers=as_admin, params={"action": "file.deleted"}).json()["data"]
        assert [event["target_id"] for event in events] == [file_id]

    def test_spares_the_bytes_that_a_dataset_was_made_of(
        self, client: TestClient, file_id: str, as_admin: Headers, backends: Backends, workspace_id: str
    ) -> None:
        dataset = client.post("/v1/datasets", headers=as_admin, json={"file_id": file_id}).json()
        client.delete(f"/v1/files/{file_id}", headers=as_admin)
        assert len(backends.blobs.keys(f"workspaces/{workspace_id}/files/{file_id}")) == 1
        mapping = {"mapping": {"question": "answer", "answer": "question"}}
        again = client.post(f"/v1/datasets/{dataset['id']}/versions", headers=as_admin, json=mapping)
        assert again.json()["number"] == 2


class TestSamples:
    def test_anonymous(self, client: TestClient) -> None:
        assert client.get("/v1/samples").status_code == 401
        assert client.post("/v1/samples/reviews").status_code == 401

    def test_are_listed_with_source_and_licence(self, client: TestClient, as_viewer: Headers) -> None:
        found = client.get("/v1/samples", headers=as_viewer).json()["data"]
        assert [sample["id"] for sample in found] == ["reviews", "dictionary", "tickets", "tickets_workbook"]
        assert all(sample["license"] and sample["source"] and sample["description"] for sample in found)

    def test_a_viewer_may_not_copy(self, client: TestClient, as_viewer: Headers) -> None:
        assert client.post("/v1/samples/reviews", headers=as_viewer).status_code == 403

    def test_an_unknown_one(self, client: TestClient, as_member: Headers) -> None:
        missing = client.post("/v1/samples/nothing", headers=as_member)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "sample_not_found")

    @pytest.mark.parametrize(
        ("sample_id", "filename"),
        [("reviews", "reviews.csv"), ("dictionary", "dictionary.csv"), ("tickets_workbook", "tickets.xlsx")],
    )
    def test_a_copy_is_a_file_like_any_other(
        self, client: TestClient, as_member: Headers, sample_id: str, filename: str
    ) -> None:
        listed = client.get("/v1/samples", headers=as_member).json()["data"]
        file = client.post(f"/v1/samples/{sample_id}", headers=as_member).json()
        assert file["filename"] == filename
        assert [file["inspection"]["num_rows"]] == [s["num_rows"] for s in listed if s["id"] == sample_id]
        assert client.get(f"/v1/files/{file['id']}", headers=as_member).status_code == 200
