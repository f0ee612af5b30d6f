import csv
import io
import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text

from api.main import create_app
from core.audit import service as audit
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database, workspace_scope
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack

Headers = dict[str, str]
PATHS = ("/v1/audit_events", "/v1/audit_events/chain", "/v1/audit_events/export")


@pytest.fixture
def events(database: Database, principal: Principal) -> Principal:
    """Five deeds of two kinds, the last with a name that a spreadsheet would run."""
    deeds = [
        ("thing.made", "t1", {"name": "First"}),
        ("thing.made", "t2", {"name": "Second"}),
        ("thing.removed", "t1", {}),
        ("other.made", "o1", {"note": "100% done_now"}),
        ("thing.made", "=cmd|' /C calc'!A1", {}),
    ]
    for action, target, details in deeds:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            audit.record(session, principal=principal, action=action, target_id=target, details=details)
    return principal


def found(client: TestClient, headers: Headers, query: str = "") -> list[dict[str, Any]]:
    answer = client.get(f"/v1/audit_events?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


@pytest.mark.parametrize("path", PATHS)
class TestWho:
    def test_nobody_is_told_to_sign_in(self, client: TestClient, path: str) -> None:
        assert client.get(path).status_code == 401

    def test_a_member_may_not_look(self, client: TestClient, as_member: Headers, path: str) -> None:
        answer = client.get(path, headers=as_member)
        assert answer.status_code == 403
        assert answer.json()["error"]["details"]["permission"] == "audit:read"

    def test_a_stranger_sees_their_own_log_alone(
        self, client: TestClient, events: Principal, as_stranger: Headers, path: str
    ) -> None:
        answer = client.get(path, headers=as_stranger)
        assert answer.status_code == 200
        assert events.workspace_id not in answer.text
        assert events.user_id not in answer.text


class TestList:
    @pytest.mark.parametrize(
        ("query", "targets"),
        [
            ("", ["=cmd|' /C calc'!A1", "o1", "t1", "t2", "t1"]),
            ("action=thing.removed", ["t1"]),
            ("action=other.*", ["o1"]),
            ("action=thing.*&target=t1", ["t1", "t1"]),
            ("q=SECOND", ["t2"]),
            # neither means "any character" to who types them
            ("q=100%25", ["o1"]),
            ("q=done_now", ["o1"]),
            ("q=doneXnow", []),
            ("actor=user_nobody", []),
            ("until=1000", []),
            ("since=4000000000", []),
        ],
    )
    def test_it_finds_what_is_asked_for(
        self, client: TestClient, events: Principal, as_admin: Headers, query: str, targets: list[str]
    ) -> None:
        assert [event["target_id"] for event in found(client, as_admin, query)] == targets

    def test_it_finds_by_who_and_when(self, client: TestClient, events: Principal, as_admin: Headers) -> None:
        at = found(client, as_admin)[0]["created_at"]
        query = f"actor={events.user_id}&since={at - 60}&until={at + 60}"
        assert len(found(client, as_admin, query)) == 5

    def test_it_pages_without_a_gap(self, client: TestClient, events: Principal, as_admin: Headers) -> None:
        first = client.get("/v1/audit_events?limit=3", headers=as_admin).json()
        rest = client.get(f"/v1/audit_events?limit=3&after={first['last_id']}", headers=as_admin).json()
        assert [event["sequence"] for event in first["data"] + rest["data"]] == [5, 4, 3, 2, 1]
        assert (first["has_more"], rest["has_more"]) == (True, False)

    def test_it_says_where_a_deed_came_from(self, client: TestClient, as_admin: Headers) -> None:
        headers = as_admin | {"user-agent": "OpenAI/Python 2.1.0", "x-request-id": "req-7"}
        assert client.post("/v1/api_keys", headers=headers, json={"name": "k"}).status_code == 200
        (event,) = found(client, as_admin, "action=api_key.created&q=k")[:1]
        assert (event["request_id"], event["user_agent"]) == ("req-7", "openai-python")
        # what a test client calls itself is no address
        assert event["client_address"] is None

    @pytest.mark.parametrize(
        "query", ["since=-1", "until=99999999999999999", "limit=0", f"q={'x' * 300}", f"action={'x' * 200}"]
    )
    def test_nonsense_is_refused(self, client: TestClient, as_admin: Headers, query: str) -> None:
        assert client.get(f"/v1/audit_events?{query}", headers=as_admin).status_code == 400


@pytest.mark.parametrize(("detail", "kept"), [("full", "203.0.113.77"), ("network", "203.0.113.0/24"), ("none", None)])
def test_of_a_clients_address_as_much_is_kept_as_the_setting_says(
    settings: Settings, database: Database, backends: Backends, as_admin: Headers, detail: str, kept: str | None
) -> None:
    settings = settings.model_copy(update={"audit_client_addresses": detail})
    with TestClient(create_app(settings, database, backends), client=("203.0.113.77", 5000)) as client:
        client.post("/v1/api_keys", headers=as_admin, json={"name": "k"})
        assert found(client, as_admin, "action=api_key.created")[0]["client_address"] == kept


class TestChain:
    def test_it_is_unbroken_since_its_first_event(
        self, client: TestClient, events: Principal, as_admin: Headers
    ) -> None:
        chain = client.get("/v1/audit_events/chain", headers=as_admin).json()
        newest, oldest = found(client, as_admin)[0], found(client, as_admin)[-1]
        assert (chain["is_unbroken"], chain["num_checked"], chain["first_sequence"]) == (True, 5, 1)
        assert (chain["sequence"], chain["hash"], chain["since"]) == (5, newest["hash"], oldest["created_at"])

    def test_a_broken_place_is_named(
        self, client: TestClient, owner_engine: Engine, events: Principal, as_admin: Headers
    ) -> None:
        with owner_engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            connection.execute(text("alter table audit_events disable trigger append_only"))
            connection.execute(text("delete from audit_events where sequence = 2"))
            connection.execute(text("alter table audit_events enable trigger append_only"))
        chain = client.get("/v1/audit_events/chain", headers=as_admin).json()
        assert chain["is_unbroken"] is False
        assert chain["first_break"]["sequence"] == 2
        assert chain["first_break"]["message"] == "Event 2 was removed."


class TestExport:
    def test_a_spreadsheet_gets_all_of_it_and_runs_none_of_it(
        self, client: TestClient, events: Principal, as_admin: Headers
    ) -> None:
        answer = client.get("/v1/audit_events/export", headers=as_admin)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"].startswith('attachment; filename="audit-')
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        # that it was taken is the newest event of all
        assert [row["action"] for row in rows][:2] == ["audit.exported", "thing.made"]
        assert rows[1]["target_id"] == "'=cmd|' /C calc'!A1"
        assert [row["sequence"] for row in rows] == ["6", "5", "4", "3", "2", "1"]
        assert json.loads(rows[-1]["details"]) == {"name": "First"}

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n="])
    def test_no_cell_is_a_formula(
        self, client: TestClient, database: Database, principal: Principal, as_admin: Headers, start: str
    ) -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            audit.record(session, principal=principal, action="thing.made", target_id=f"{start}1+1")
        text_ = client.get("/v1/audit_events/export?action=thing.made", headers=as_admin).text
        (row,) = csv.DictReader(io.StringIO(text_, newline=""))
        assert row["target_id"] == f"'{start}1+1"

    def test_a_program_gets_json_lines_of_what_it_asked_for(
        self, client: TestClient, events: Principal, as_admin: Headers
    ) -> None:
        answer = client.get("/v1/audit_events/export?format=jsonl&action=thing.*&q=first", headers=as_admin)
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        (row,) = [json.loads(line) for line in answer.text.splitlines()]
        assert (row["target_id"], row["details"], row["sequence"]) == ("t1", {"name": "First"}, 1)
        (taken,) = found(client, as_admin, "action=audit.exported")
        assert taken["details"] == {"format": "jsonl", "action": "thing.*", "text": "first"}

    def test_more_than_one_batch_comes_whole(
        self, client: TestClient, events: Principal, as_admin: Headers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("core.audit.export._BATCH", 2)
        answer = client.get("/v1/audit_events/export?format=jsonl", headers=as_admin)
        assert [json.loads(line)["sequence"] for line in answer.text.splitlines()] == [6, 5, 4, 3, 2, 1]

    def test_another_format_is_refused(self, client: TestClient, as_admin: Headers) -> None:
        assert client.get("/v1/audit_events/export?format=xlsx", headers=as_admin).status_code == 400


class TestInstallation:
    def test_its_admins_see_every_workspace_and_that_they_looked_is_kept(
        self, client: TestClient, events: Principal, as_operator: Headers, as_admin: Headers
    ) -> None:
        path = f"/v1/admin/audit_events?workspace_id={events.workspace_id}&action=thing.*"
        data = client.get(path, headers=as_operator).json()["data"]
        assert {event["workspace_id"] for event in data} == {events.workspace_id}
        assert len(data) == 4
        every = client.get("/v1/admin/audit_events", headers=as_operator).json()["data"]
        looked = [event for event in every if event["action"] == "audit.viewed"]
        assert looked[-1]["workspace_id"] is None
        assert looked[-1]["target_id"] == events.workspace_id
        assert looked[-1]["details"] == {"action": "thing.*"}
        # it is the installation's business: the workspace's own log does not grow by it
        assert found(client, as_admin, "action=audit.viewed") == []

    def test_they_check_and_take_the_log_of_any_workspace(
        self, client: TestClient, events: Principal, as_operator: Headers
    ) -> None:
        query = f"workspace_id={events.workspace_id}"
        chain = client.get(f"/v1/admin/audit_events/chain?{query}", headers=as_operator).json()
        assert (chain["id"], chain["is_unbroken"], chain["num_checked"]) == (events.workspace_id, True, 5)
        answer = client.get(f"/v1/admin/audit_events/export?format=jsonl&{query}", headers=as_operator)
        assert len(answer.text.splitlines()) == 5
        above = client.get("/v1/admin/audit_events?workspace_id=installation", headers=as_operator).json()["data"]
        assert "audit.exported" in {event["action"] for event in above}
