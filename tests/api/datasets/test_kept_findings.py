"""Personal data and secrets that may stay in a version: keep, take back, and what the version tells of it."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from core.datasets.types import VersionStatus
from core.db.session import SYSTEM, Database, workspace_scope
from tests.conftest import Headers
from tests.factories.training import health_with, make_version

pytestmark = pytest.mark.stack

GROUND = {"ground": "The customers agreed to it in the contract."}


def keep_url(version_id: str, code: str = "email") -> str:
    return f"/v1/dataset_versions/{version_id}/findings/{code}/keep"


def findings(client: TestClient, headers: Headers, version_id: str) -> dict[str, dict[str, Any]]:
    version = client.get(f"/v1/dataset_versions/{version_id}", headers=headers).json()
    return {finding["code"]: finding for finding in version["health"]["findings"]}


def audited(client: TestClient, headers: Headers, action: str) -> list[tuple[str, dict[str, Any]]]:
    found = client.get("/v1/audit_events", headers=headers, params={"action": action}).json()["data"]
    return [(event["target_id"], event["details"]) for event in found]


@pytest.fixture
def version_id(database: Database, workspace_id: str) -> str:
    with database.session(workspace_scope(workspace_id)) as session:
        found = health_with("email", "secret", "duplicate")
        return make_version(session, workspace_id, with_rows=True, health=found).id


class TestKeep:
    def test_anonymous(self, client: TestClient, version_id: str) -> None:
        assert client.post(keep_url(version_id), json=GROUND).status_code == 401

    def test_a_stranger(self, client: TestClient, version_id: str, as_stranger: Headers) -> None:
        refused = client.post(keep_url(version_id), headers=as_stranger, json=GROUND)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "dataset_version_not_found")

    def test_a_viewer(self, client: TestClient, version_id: str, as_viewer: Headers) -> None:
        assert client.post(keep_url(version_id), headers=as_viewer, json=GROUND).status_code == 403

    @pytest.mark.parametrize(
        ("finding", "body", "code"),
        [
            ("email", {"ground": "  \n "}, "invalid_ground"),
            ("email", {"ground": "a\u0000b"}, "invalid_ground"),
            ("email", {"ground": "x" * 1001}, "invalid_value"),
            ("email", {}, "invalid_value"),
            ("email", {**GROUND, "for": "ever"}, "invalid_value"),
            ("iban", GROUND, "finding_not_in_report"),
            ("duplicate", GROUND, "finding_not_keepable"),
            ("no_such", GROUND, "finding_not_keepable"),
        ],
    )
    def test_what_does_not_fit(
        self, client: TestClient, version_id: str, as_member: Headers, finding: str, body: dict[str, str], code: str
    ) -> None:
        refused = client.post(keep_url(version_id, finding), headers=as_member, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)
        assert all(one["kept"] is None for one in findings(client, as_member, version_id).values())

    def test_the_version_tells_who_decided_it_when_and_why(
        self, client: TestClient, version_id: str, as_admin: Headers
    ) -> None:
        kept = client.post(keep_url(version_id), headers=as_admin, json={"ground": "  They agreed,\n in writing. "})
        assert kept.status_code == 200, kept.text
        body = kept.json()
        assert (body["object"], body["code"], body["ground"]) == ("kept_finding", "email", "They agreed, in writing.")
        told = findings(client, as_admin, version_id)
        decided = {name: body[name] for name in ("ground", "kept_by_name", "kept_at")}
        assert told["email"]["kept"] == decided | {"is_carried_over": False}
        assert body["kept_by_name"] is not None
        assert {code: (one["can_be_kept"], one["kept"] is None) for code, one in told.items()} == {
            "email": (True, False),
            "secret": (True, True),
            "duplicate": (False, True),
        }
        dataset_id = client.get(f"/v1/dataset_versions/{version_id}", headers=as_admin).json()["dataset_id"]
        for path, version in (
            (f"/v1/datasets/{dataset_id}", lambda found: found["latest_version"]),
            (f"/v1/datasets/{dataset_id}/versions", lambda found: found["data"][0]),
            (f"/v1/dataset_versions/{version_id}/diff", lambda found: found["after"]),
        ):
            shown = version(client.get(path, headers=as_admin).json())["health"]["findings"]
            assert [one["kept"] is not None for one in shown] == [True, False, False], path

    def test_the_log_has_the_decision_and_not_the_ground(
        self, client: TestClient, version_id: str, as_admin: Headers
    ) -> None:
        client.post(keep_url(version_id), headers=as_admin, json=GROUND)
        client.post(keep_url(version_id), headers=as_admin, json=GROUND)
        assert audited(client, as_admin, "dataset_version.finding_kept") == [
            (version_id, {"code": "email", "num_rows": 2})
        ]

    def test_said_again_it_stays_with_whom_it_was_and_another_ground_is_refused(
        self, client: TestClient, version_id: str, as_admin: Headers, as_member: Headers
    ) -> None:
        first = client.post(keep_url(version_id), headers=as_admin, json=GROUND).json()
        same = client.post(keep_url(version_id), headers=as_member, json=GROUND)
        assert (same.status_code, same.json()) == (200, first)
        other = client.post(keep_url(version_id), headers=as_member, json={"ground": "No reason."})
        error = other.json()["error"]
        assert (other.status_code, error["code"], error["param"]) == (409, "finding_kept_already", "ground")
        assert error["details"] == {"kept_by_name": first["kept_by_name"]}
        assert findings(client, as_admin, version_id)["email"]["kept"]["ground"] == GROUND["ground"]

    def test_a_retry_finds_the_first_even_when_it_was_taken_back(
        self, client: TestClient, version_id: str, as_member: Headers
    ) -> None:
        headers = {**as_member, "idempotency-key": "once"}
        first = client.post(keep_url(version_id), headers=headers, json=GROUND)
        client.delete(keep_url(version_id), headers=as_member)
        again = client.post(keep_url(version_id), headers=headers, json=GROUND)
        assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
        assert findings(client, as_member, version_id)["email"]["kept"] is None

    def test_another_version_is_another_decision(
        self, client: TestClient, version_id: str, as_member: Headers, database: Database, workspace_id: str
    ) -> None:
        client.post(keep_url(version_id), headers=as_member, json=GROUND)
        with database.session(workspace_scope(workspace_id)) as session:
            other = make_version(session, workspace_id, health=health_with("email")).id
        assert findings(client, as_member, other)["email"]["kept"] is None

    def test_a_version_that_is_not_ready_has_no_findings_yet(
        self, client: TestClient, as_member: Headers, database: Database, workspace_id: str
    ) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            made = make_version(session, workspace_id, status=VersionStatus.VALIDATING).id
        refused = client.post(keep_url(made), headers=as_member, json=GROUND)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "dataset_not_ready")

    def test_of_a_deleted_dataset_nothing_is_decided(
        self, client: TestClient, version_id: str, as_member: Headers
    ) -> None:
        dataset_id = client.get(f"/v1/dataset_versions/{version_id}", headers=as_member).json()["dataset_id"]
        client.delete(f"/v1/datasets/{dataset_id}", headers=as_member)
        refused = client.post(keep_url(version_id), headers=as_member, json=GROUND)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "dataset_not_found")


class TestTakeBack:
    def test_anonymous(self, client: TestClient, version_id: str) -> None:
        assert client.delete(keep_url(version_id)).status_code == 401

    def test_a_stranger(self, client: TestClient, version_id: str, as_admin: Headers, as_stranger: Headers) -> None:
        client.post(keep_url(version_id), headers=as_admin, json=GROUND)
        assert client.delete(keep_url(version_id), headers=as_stranger).status_code == 404
        assert findings(client, as_admin, version_id)["email"]["kept"] is not None

    def test_a_viewer(self, client: TestClient, version_id: str, as_viewer: Headers) -> None:
        assert client.delete(keep_url(version_id), headers=as_viewer).status_code == 403

    def test_what_is_not_kept(self, client: TestClient, version_id: str, as_member: Headers) -> None:
        refused = client.delete(keep_url(version_id), headers=as_member)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "kept_finding_not_found")

    def test_forgets_the_ground_and_another_may_be_given(
        self, client: TestClient, version_id: str, as_admin: Headers, database: Database
    ) -> None:
        client.post(keep_url(version_id), headers=as_admin, json=GROUND)
        client.post(keep_url(version_id, "secret"), headers=as_admin, json={"ground": "They are made up."})
        gone = client.delete(keep_url(version_id), headers=as_admin).json()
        assert (gone["deleted"], gone["code"]) == (True, "email")
        told = findings(client, as_admin, version_id)
        assert (told["email"]["kept"], told["secret"]["kept"]["ground"]) == (None, "They are made up.")
        assert audited(client, as_admin, "dataset_version.finding_no_longer_kept") == [(version_id, {"code": "email"})]
        with database.session(SYSTEM) as session:
            assert session.scalars(text("select ground from kept_findings")).all() == ["They are made up."]
        other = client.post(keep_url(version_id), headers=as_admin, json={"ground": "Another."})
        assert other.json()["ground"] == "Another."
