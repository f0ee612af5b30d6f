"""What a workspace's files may take together."""

import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from api.main import create_app
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from tests.assets.bad_files import GOOD_CSV
from tests.conftest import Headers

pytestmark = pytest.mark.stack

ROOM = int(2.5 * len(GOOD_CSV))


@pytest.fixture
def client(settings: Settings, database: Database, backends: Backends) -> Iterator[TestClient]:
    """Of an installation whose workspaces have room for two and a half files."""
    settings = settings.model_copy(update={"max_workspace_bytes": ROOM})
    with TestClient(create_app(settings, database, backends), base_url="http://127.0.0.1:8700") as client:
        yield client


def upload(client: TestClient, headers: Headers) -> Response:
    return client.post("/v1/files", headers=headers, files={"file": ("tickets.csv", GOOD_CSV)})


def storage(client: TestClient, headers: Headers) -> dict[str, int]:
    found: dict[str, int] = client.get("/v1/usage/storage", headers=headers).json()
    return found


class TestRoom:
    def test_a_file_that_does_not_fit_is_refused_and_leaves_nothing(
        self, client: TestClient, backends: Backends, as_member: Headers, workspace_id: str
    ) -> None:
        assert [upload(client, as_member).status_code for _ in range(2)] == [200, 200]
        refused = upload(client, as_member)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (413, "storage_quota_exceeded", "file")
        assert error["details"] == {"stored_bytes": 2 * len(GOOD_CSV), "max_stored_bytes": ROOM}
        assert "Delete files that no dataset needs" in error["message"]
        assert len(backends.blobs.keys(f"workspaces/{workspace_id}/")) == 2
        assert storage(client, as_member) == {
            "object": "usage.storage", "num_bytes": 2 * len(GOOD_CSV), "max_bytes": ROOM,
        }  # fmt: skip

    def test_a_lie_about_the_length_does_not_help(self, client: TestClient, as_member: Headers) -> None:
        for _ in range(2):
            upload(client, as_member)
        body = b'--b\r\ncontent-disposition: form-data; name="file"; filename="t.csv"\r\n\r\n' + GOOD_CSV + b"\r\n--b--"
        headers = as_member | {"content-type": "multipart/form-data; boundary=b"}
        refused = client.post("/v1/files", headers=headers, content=iter([body]))
        assert refused.json()["error"]["code"] == "storage_quota_exceeded"

    def test_one_that_cannot_fit_is_refused_before_it_is_read(self, client: TestClient, as_member: Headers) -> None:
        def read() -> Iterator[bytes]:
            pytest.fail("the body was asked for")
            yield b""

        headers = as_member | {"content-type": "multipart/form-data; boundary=b", "content-length": "1000000"}
        refused = client.post("/v1/files", headers=headers, content=read())
        assert refused.json()["error"]["code"] == "storage_quota_exceeded"

    def test_a_deleted_file_makes_room_unless_a_dataset_needs_it(self, client: TestClient, as_member: Headers) -> None:
        needed, other = (upload(client, as_member).json()["id"] for _ in range(2))
        assert client.post("/v1/datasets", headers=as_member, json={"file_id": needed}).status_code == 200
        client.delete(f"/v1/files/{needed}", headers=as_member)
        assert upload(client, as_member).status_code == 413
        client.delete(f"/v1/files/{other}", headers=as_member)
        assert upload(client, as_member).status_code == 200

    def test_a_sample_takes_room_too(self, client: TestClient, as_member: Headers) -> None:
        assert client.post("/v1/samples/reviews", headers=as_member).status_code == 413

    def test_two_at_once_do_not_take_the_same_room(self, client: TestClient, as_member: Headers) -> None:
        upload(client, as_member)
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(upload(client, as_member).status_code)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == [200, 413, 413, 413]

    def test_another_workspace_has_its_own(self, client: TestClient, as_member: Headers, as_stranger: Headers) -> None:
        for _ in range(2):
            upload(client, as_member)
        assert upload(client, as_stranger).status_code == 200


class TestOfOneWorkspace:
    def test_an_admin_of_the_installation_gives_one_more_room_and_that_is_kept(
        self, client: TestClient, as_operator: Headers, as_admin: Headers, workspace_id: str
    ) -> None:
        path = f"/v1/admin/workspaces/{workspace_id}/storage"
        for _ in range(2):
            upload(client, as_admin)
        changed = client.patch(path, headers=as_operator, json={"max_bytes": 4 * len(GOOD_CSV)})
        assert changed.json()["max_bytes"] == 4 * len(GOOD_CSV)
        assert upload(client, as_admin).status_code == 200
        (event,) = client.get("/v1/audit_events?action=admin.storage_changed", headers=as_admin).json()["data"]
        assert (event["target_id"], event["details"]) == (workspace_id, {"max_bytes": 4 * len(GOOD_CSV)})
        listed = client.get("/v1/admin/workspaces", headers=as_operator).json()["data"]
        told = ("num_bytes", "max_bytes", "has_own_max_bytes")
        found = {one["id"]: tuple(one[name] for name in told) for one in listed}
        assert found.pop(workspace_id) == (3 * len(GOOD_CSV), 4 * len(GOOD_CSV), True)
        # their own has no file
        assert list(found.values()) == [(0, ROOM, False)]
        client.patch(path, headers=as_operator, json={"max_bytes": None})
        assert upload(client, as_admin).status_code == 413

    @pytest.mark.parametrize("body", [{}, {"max_bytes": 0}, {"max_bytes": -1}, {"max_bytes": 2**63}, {"bytes": 5}])
    def test_nonsense_is_refused(
        self, client: TestClient, as_operator: Headers, workspace_id: str, body: dict[str, int]
    ) -> None:
        path = f"/v1/admin/workspaces/{workspace_id}/storage"
        assert client.patch(path, headers=as_operator, json=body).status_code == 400

    def test_an_unknown_workspace(self, client: TestClient, as_operator: Headers) -> None:
        answer = client.patch("/v1/admin/workspaces/ws_none/storage", headers=as_operator, json={"max_bytes": 5})
        assert answer.json()["error"]["code"] == "workspace_not_found"


def test_without_a_limit_there_is_none(
    settings: Settings, database: Database, backends: Backends, as_member: Headers
) -> None:
    with TestClient(create_app(settings, database, backends), base_url="http://127.0.0.1:8700") as client:
        assert [upload(client, as_member).status_code for _ in range(4)] == [200] * 4
        assert storage(client, as_member)["max_bytes"] is None
