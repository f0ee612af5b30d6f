"""Forgetting a person: search, list, get, confirm, discard."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from core.adapters import service as adapters
from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from core.datasets.models import Row
from core.datasets.types import VersionStatus
from core.db.session import SYSTEM, Database, workspace_scope
from core.serving.completions import service as completions
from tests.conftest import Headers
from tests.factories.completions import new_completion
from tests.factories.training import health_with, make_version

pytestmark = pytest.mark.stack

ABSENT = "erase_00000000000000000000000000"
ADA = {"terms": ["Ada Lovelace", "ada@example.com"]}


@pytest.fixture
def version_id(database: Database, workspace_id: str) -> str:
    """A ready version in which Ada is in rows 3 and 4."""
    with database.session(workspace_scope(workspace_id)) as session:
        version = make_version(session, workspace_id, with_rows=True)
        for number, said in ((3, "I am ada LOVELACE."), (4, "Write to ada@example.com")):
            row = session.get_one(Row, (version.reading_id, number, 0))
            row.messages = [{"role": "user", "content": said}, {"role": "assistant", "content": "Noted."}]
        return version.id


@pytest.fixture
def erasure_id(client: TestClient, as_admin: Headers, version_id: str) -> str:
    return str(client.post("/v1/erasures", headers=as_admin, json=ADA).json()["id"])


class TestSearch:
    def test_anonymous(self, client: TestClient) -> None:
        assert client.post("/v1/erasures", json=ADA).status_code == 401

    def test_a_member_may_not(self, client: TestClient, as_member: Headers) -> None:
        assert client.post("/v1/erasures", headers=as_member, json=ADA).status_code == 403

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"terms": []}, "invalid_value"),
            ({"terms": ["al"]}, "invalid_terms"),
            ({"terms": ["Ada"], "all": True}, "invalid_value"),
        ],
    )
    def test_what_does_not_fit(self, client: TestClient, as_admin: Headers, body: dict[str, object], code: str) -> None:
        refused = client.post("/v1/erasures", headers=as_admin, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)

    def test_tells_where_the_person_is_and_removes_nothing(
        self, client: TestClient, as_admin: Headers, database: Database, workspace_id: str, version_id: str
    ) -> None:
        said = [{"role": "user", "content": "Where is Ada Lovelace?"}]
        with database.session(SYSTEM) as session:
            completions.keep(session, new_completion(workspace_id, "chatcmpl-ada", messages=said))
            # in words beside it, of which the names too are somebody's
            for name, value in {"ada@example.com": "yes", "type": "ada@example.com"}.items():
                metadata = {name: value}
                completions.keep(session, new_completion(workspace_id, f"chatcmpl-{value}", metadata=metadata))
            completions.keep(session, new_completion(workspace_id, "chatcmpl-other"))
        found = client.post("/v1/erasures", headers=as_admin, json=ADA).json()
        assert (found["status"], found["num_terms"], found["num_rows"], found["num_rows_erased"]) == ("found", 2, 2, 0)
        assert [
            (one["id"], one["num_rows"], one["is_done"]) for data in found["datasets"] for one in data["versions"]
        ] == [(version_id, 2, False)]
        assert [file["filename"] for file in found["files"]] == ["reviews.jsonl"]
        assert [(one["version_id"], one["number"]) for one in found["examples"]] == [(version_id, 3), (version_id, 4)]
        assert found["examples"][0]["content"]["messages"][0]["content"] == "I am ada LOVELACE."
        assert (found["num_completions"], found["models"], found["by_hand"]) == (3, [], [])
        rows = client.get(f"/v1/dataset_versions/{version_id}/rows", headers=as_admin).json()
        assert rows["total"] == 100
        events = client.get("/v1/audit_events", headers=as_admin, params={"action": "erasure.searched"}).json()["data"]
        assert [(one["target_id"], one["details"]) for one in events] == [
            (found["id"], {"num_terms": 2, "num_rows": 2})
        ]

    def test_a_ground_that_names_the_person_is_found(
        self, client: TestClient, as_admin: Headers, database: Database, workspace_id: str
    ) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            version_id = make_version(session, workspace_id, health=health_with("email", "iban")).id
        for code, ground in (("email", "Mrs ADA LOVELACE agreed."), ("iban", "It is our own.")):
            url = f"/v1/dataset_versions/{version_id}/findings/{code}/keep"
            assert client.post(url, headers=as_admin, json={"ground": ground}).status_code == 200
        found = client.post("/v1/erasures", headers=as_admin, json=ADA).json()
        assert (found["num_grounds"], found["num_rows"], found["datasets"]) == (1, 0, [])

    def test_what_was_looked_for_is_sealed(
        self, client: TestClient, as_admin: Headers, database: Database, erasure_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            kept = str(session.execute(text("select * from erasures")).mappings().one())
        assert "lovelace" not in kept.lower()

    def test_names_that_must_be_changed_by_hand_are_listed(
        self, client: TestClient, as_admin: Headers, version_id: str
    ) -> None:
        dataset_id = client.get(f"/v1/dataset_versions/{version_id}", headers=as_admin).json()["dataset_id"]
        client.patch(f"/v1/datasets/{dataset_id}", headers=as_admin, json={"name": "Letters of Ada Lovelace"})
        found = client.post("/v1/erasures", headers=as_admin, json=ADA).json()
        assert found["by_hand"] == [{"kind": "dataset_name", "id": dataset_id, "name": "Letters of Ada Lovelace"}]

    def test_models_made_elsewhere_are_listed_since_nobody_knows_what_they_learned_from(
        self, client: TestClient, as_admin: Headers, as_stranger: Headers, database: Database, workspace_id: str
    ) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            model_id = adapters.register(
                session,
                workspace_id=workspace_id,
                workspace_slug="acme",
                run_id=None,
                created_by=None,
                name="From the lab",
                suffix=None,
                base_model="smollm2-135m-instruct",
                method="lora",
                quantization=None,
                digest="d" * 64,
                key_prefix="p",
                files=[],
                spec={},
                metrics={},
                lineage={"import_id": "import_1"},
            ).model_id
        named = {"kind": "imported_model", "id": model_id, "name": "From the lab"}
        assert client.post("/v1/erasures", headers=as_admin, json=ADA).json()["by_hand"] == [named]
        assert client.post("/v1/erasures", headers=as_stranger, json=ADA).json()["by_hand"] == []
        client.delete(f"/v1/models/{model_id}", headers=as_admin)
        assert client.post("/v1/erasures", headers=as_admin, json=ADA).json()["by_hand"] == []

    def test_what_runs_webhooks_and_others_are_called_is_counted_and_what_is_in_use_is_named(
        self, client: TestClient, as_admin: Headers, as_stranger: Headers
    ) -> None:
        def made(path: str, **body: object) -> None:
            assert client.post(path, headers=as_admin, json=body).status_code == 200

        hook = {"event_types": ["fine_tuning.job.failed"], "url": "https://example.com/ada@example.com"}
        made("/v1/webhook_endpoints", name="For Ada Lovelace", **hook)
        made("/v1/api_keys", name="ada lovelace's laptop")
        made("/v1/uploads", bytes=4, filename="Ada Lovelace.jsonl", mime_type="text/jsonl", purpose="fine-tune")
        made("/v1/invitations", email="ada@example.com")
        found = client.post("/v1/erasures", headers=as_admin, json=ADA).json()
        assert (found["num_access_names"], found["num_uploads"], found["num_runs"]) == (2, 1, 0)
        assert [(one["kind"], one["name"]) for one in found["by_hand"]] == [
            ("webhook_address", "For Ada Lovelace"),
            ("invitation", "ada@example.com"),
        ]
        for named in found["by_hand"]:
            path = "webhook_endpoints" if named["kind"] == "webhook_address" else "invitations"
            client.delete(f"/v1/{path}/{named['id']}", headers=as_admin)
        told = client.get(f"/v1/erasures/{found['id']}", headers=as_admin).json()["by_hand"]
        # a deleted webhook is gone, so nothing but its id is left to tell
        assert [one["name"] for one in told] == [found["by_hand"][0]["id"], "ada@example.com"]
        theirs = client.post("/v1/erasures", headers=as_stranger, json=ADA).json()
        assert (theirs["num_access_names"], theirs["num_uploads"], theirs["by_hand"]) == (0, 0, [])

    def test_nobody_else_finds_it(self, client: TestClient, as_stranger: Headers, version_id: str) -> None:
        found = client.post("/v1/erasures", headers=as_stranger, json=ADA).json()
        assert (found["num_rows"], found["datasets"], found["files"]) == (0, [], [])


class TestGet:
    def test_a_stranger(self, client: TestClient, erasure_id: str, as_stranger: Headers) -> None:
        refused = client.get(f"/v1/erasures/{erasure_id}", headers=as_stranger)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "erasure_not_found")

    def test_a_viewer(self, client: TestClient, erasure_id: str, as_viewer: Headers) -> None:
        assert client.get(f"/v1/erasures/{erasure_id}", headers=as_viewer).status_code == 403

    def test_says_again_what_was_found(self, client: TestClient, erasure_id: str, as_admin: Headers) -> None:
        found = client.get(f"/v1/erasures/{erasure_id}", headers=as_admin).json()
        assert (found["num_rows"], len(found["examples"]), found["created_by_name"] is None) == (2, 2, False)


class TestList:
    def test_newest_first_without_examples(self, client: TestClient, erasure_id: str, as_admin: Headers) -> None:
        second = client.post("/v1/erasures", headers=as_admin, json={"terms": ["nobody at all"]}).json()
        listed = client.get("/v1/erasures", headers=as_admin).json()["data"]
        assert [(one["id"], one["examples"]) for one in listed] == [(second["id"], []), (erasure_id, [])]

    def test_a_stranger_sees_none(self, client: TestClient, erasure_id: str, as_stranger: Headers) -> None:
        assert client.get("/v1/erasures", headers=as_stranger).json()["data"] == []


class TestConfirm:
    def test_a_stranger(self, client: TestClient, erasure_id: str, as_stranger: Headers) -> None:
        assert client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_stranger).status_code == 404

    def test_a_member_may_not(self, client: TestClient, erasure_id: str, as_member: Headers) -> None:
        assert client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_member).status_code == 403

    def test_queues_the_removal_once(
        self, client: TestClient, erasure_id: str, as_admin: Headers, backends: Backends
    ) -> None:
        first = client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_admin).json()
        again = client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_admin).json()
        assert (first["status"], again["job_id"]) == ("erasing", first["job_id"])
        assert isinstance(backends.queue, RecordingTaskQueue)
        assert [job_id for _, job_id in backends.queue.rung].count(first["job_id"]) == 1
        audited = client.get("/v1/audit_events", headers=as_admin, params={"action": "erasure.confirmed"}).json()
        assert [one["target_id"] for one in audited["data"]] == [erasure_id]

    def test_nothing_that_would_keep_the_rows_begins_meanwhile(
        self, client: TestClient, erasure_id: str, as_admin: Headers, version_id: str
    ) -> None:
        client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_admin)
        changes = {"changes": [{"type": "resplit", "strategy": "last"}]}
        refused = client.post(f"/v1/dataset_versions/{version_id}/changes", headers=as_admin, json=changes)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "erasure_in_progress")

    def test_waits_for_a_version_that_is_being_made(
        self, client: TestClient, erasure_id: str, as_admin: Headers, database: Database, workspace_id: str
    ) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            make_version(session, workspace_id, status=VersionStatus.VALIDATING)
        refused = client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_admin)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "dataset_version_in_progress")


class TestDiscard:
    def test_a_stranger(self, client: TestClient, erasure_id: str, as_stranger: Headers) -> None:
        assert client.delete(f"/v1/erasures/{erasure_id}", headers=as_stranger).status_code == 404

    def test_a_member_may_not(self, client: TestClient, erasure_id: str, as_member: Headers) -> None:
        assert client.delete(f"/v1/erasures/{erasure_id}", headers=as_member).status_code == 403

    def test_forgets_the_search(self, client: TestClient, erasure_id: str, as_admin: Headers) -> None:
        assert client.delete(f"/v1/erasures/{erasure_id}", headers=as_admin).json()["deleted"] is True
        assert client.get(f"/v1/erasures/{erasure_id}", headers=as_admin).status_code == 404

    def test_one_that_was_confirmed_stays(self, client: TestClient, erasure_id: str, as_admin: Headers) -> None:
        client.post(f"/v1/erasures/{erasure_id}/confirm", headers=as_admin)
        refused = client.delete(f"/v1/erasures/{erasure_id}", headers=as_admin)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "erasure_confirmed")
        assert client.get(f"/v1/erasures/{ABSENT}", headers=as_admin).status_code == 404
