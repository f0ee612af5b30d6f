"""What the official client does not know: addresses that are refused, the log, sending again, switching off."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.webhooks import routes
from core.db.session import SYSTEM, Database
from core.webhooks import service
from core.webhooks.types import EventType
from tests.factories.receiver import Receiver, Reply

pytestmark = pytest.mark.stack

PATH = "/v1/webhook_endpoints"
Headers = dict[str, str]


@pytest.fixture
def endpoint(client: TestClient, as_admin: Headers, hooks: Receiver) -> dict[str, Any]:
    return make(client, as_admin, hooks.url)


def make(client: TestClient, headers: Headers, url: str) -> dict[str, Any]:
    body = {"name": "ours", "url": url, "event_types": list(EventType)}
    answer = client.post(PATH, headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def emit(database: Database, workspace_id: str, occurrence: str = "ftjob-1/1") -> None:
    with database.session(SYSTEM) as session:
        service.emit(
            session,
            workspace_id=workspace_id,
            event_type=EventType.JOB_FAILED,
            subject_id="ftjob-1",
            occurrence=occurrence,
        )


class TestCreate:
    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("http://10.0.0.1/hooks", "a private network"),
            ("http://169.254.169.254/latest/meta-data/", "metadata"),
            ("https://user:secret@example.com/", "Leave them out"),
            ("gopher://127.0.0.1/", "begin with https"),
            ("hooks", "begin with https"),
            ("https://[::ffff:10.0.0.1]/", "a private network"),
        ],
    )
    def test_an_address_that_is_not_called_is_refused_with_the_reason(
        self, client: TestClient, as_admin: Headers, url: str, why: str
    ) -> None:
        body = {"name": "ours", "url": url, "event_types": ["fine_tuning.job.failed"]}
        error = client.post(PATH, headers=as_admin, json=body).json()["error"]
        assert (error["code"], error["param"]) == ("url_refused", "url")
        assert why in error["message"]
        assert client.get(PATH, headers=as_admin).json()["data"] == []

    @pytest.mark.parametrize(
        "changes", [{"name": ""}, {"event_types": []}, {"url": ""}, {"secret": "mine"}, {"event_types": ["x"]}]
    )
    def test_what_cannot_be_is_refused(
        self, client: TestClient, as_admin: Headers, hooks: Receiver, changes: dict[str, object]
    ) -> None:
        body = {"name": "ours", "url": hooks.url, "event_types": ["fine_tuning.job.failed"]} | changes
        assert client.post(PATH, headers=as_admin, json=body).status_code == 400

    def test_only_admins_may(self, client: TestClient, as_member: Headers, hooks: Receiver) -> None:
        body = {"name": "ours", "url": hooks.url, "event_types": ["fine_tuning.job.failed"]}
        assert client.post(PATH, headers=as_member, json=body).status_code == 403

    def test_a_retry_makes_no_second_one_and_is_told_the_same_secret(
        self, client: TestClient, as_admin: Headers, hooks: Receiver, database: Database
    ) -> None:
        body = {"name": "ours", "url": hooks.url, "event_types": ["fine_tuning.job.failed"]}
        first, second = (
            client.post(PATH, headers=as_admin | {"x-stainless-retry-count": count}, json=body) for count in "01"
        )
        assert second.headers["idempotent-replayed"] == "true"
        assert first.json() == second.json()
        with database.session(SYSTEM) as session:
            tables = session.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
            everything = [str(session.execute(text(f"select * from {table}")).all()) for table in tables]
        secret = first.json()["signing_secret"]
        assert not [found for found in everything if secret.removeprefix("whsec_") in found], "nowhere in clear"

    def test_it_is_on_record(self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any]) -> None:
        events = client.get("/v1/audit_events", headers=as_admin).json()["data"]
        assert [(one["action"], one["target_id"]) for one in events] == [("webhook_endpoint.created", endpoint["id"])]


class TestChange:
    def test_a_new_address_is_checked(self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any]) -> None:
        path = f"{PATH}/{endpoint['id']}"
        refused = client.post(path, headers=as_admin, json={"url": "http://192.168.0.1/"})
        assert refused.json()["error"]["code"] == "url_refused"
        assert client.get(path, headers=as_admin).json()["url"] == endpoint["url"]

    def test_switched_off_it_is_told_nothing_and_what_waits_is_given_up(
        self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any], database: Database, workspace_id: str
    ) -> None:
        path = f"{PATH}/{endpoint['id']}"
        emit(database, workspace_id)
        assert client.get(path, headers=as_admin).json()["num_pending"] == 1
        off = client.post(path, headers=as_admin, json={"disabled": True}).json()
        assert (off["status"], off["disabled_reason"], off["num_pending"]) == ("disabled", "by_admin", 0)
        emit(database, workspace_id, "ftjob-1/2")
        (delivery,) = client.get(f"{path}/deliveries", headers=as_admin).json()["data"]
        assert delivery["status"] == "failed"
        refused = client.post(f"{path}/deliveries/{delivery['id']}/replay", headers=as_admin)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "webhook_endpoint_disabled")
        on = client.post(path, headers=as_admin, json={"disabled": False}).json()
        assert (on["status"], on["disabled_at"], on["disabled_reason"]) == ("enabled", None, None)
        again = client.post(f"{path}/deliveries/{delivery['id']}/replay", headers=as_admin).json()
        assert (again["status"], again["event_id"]) == ("pending", delivery["event_id"])


class TestTest:
    def test_no_answer_is_an_error_with_the_reason_and_in_the_log(self, client: TestClient, as_admin: Headers) -> None:
        made = make(client, as_admin, "http://127.0.0.1:9/hooks")
        path = f"{PATH}/{made['id']}"
        answer = client.post(f"{path}/test", headers=as_admin, json={"event_type": "fine_tuning.job.failed"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "webhook_unreachable")
        assert error["message"] == "No connection to 127.0.0.1, port 9: Connection refused."
        (delivery,) = client.get(f"{path}/deliveries", headers=as_admin).json()["data"]
        assert (delivery["is_test"], delivery["status"]) == (True, "failed")
        assert delivery["attempts"][0]["error"] == error["message"]

    def test_several_at_once_are_too_many(
        self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any], hooks: Receiver
    ) -> None:
        for _ in range(routes._TESTS_AT_ONCE):
            routes._testing.acquire()
        try:
            body = {"event_type": "fine_tuning.job.failed"}
            answer = client.post(f"{PATH}/{endpoint['id']}/test", headers=as_admin, json=body)
        finally:
            for _ in range(routes._TESTS_AT_ONCE):
                routes._testing.release()
        assert answer.status_code == 429
        assert hooks.requests == []

    def test_also_one_that_is_off_can_be_tried(
        self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any], hooks: Receiver
    ) -> None:
        path = f"{PATH}/{endpoint['id']}"
        client.post(path, headers=as_admin, json={"disabled": True})
        hooks.script = lambda _: Reply(410)
        answer = client.post(f"{path}/test", headers=as_admin, json={"event_type": "fine_tuning.job.failed"})
        assert answer.json()["status_code"] == 410
        assert client.get(path, headers=as_admin).json()["disabled_reason"] == "by_admin"


class TestLog:
    def test_it_tells_what_was_sent_and_answered_newest_first(
        self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any], hooks: Receiver
    ) -> None:
        path = f"{PATH}/{endpoint['id']}"
        for status, body in ((200, b"fine"), (500, b"x" * 3000)):
            hooks.script = lambda _, status=status, body=body: Reply(status, body)  # type: ignore[misc]
            client.post(f"{path}/test", headers=as_admin, json={"event_type": "fine_tuning.job.failed"})
        found = client.get(f"{path}/deliveries", headers=as_admin, params={"limit": 1}).json()
        assert found["has_more"]
        (newest,) = found["data"]
        (attempt,) = newest["attempts"]
        assert (newest["status"], attempt["status_code"], len(attempt["answer"])) == ("failed", 500, 2048)
        assert newest["payload"].encode() == hooks.requests[-1].body
        assert newest["event_id"] == hooks.requests[-1].headers["webhook-id"]
        rest = client.get(f"{path}/deliveries", headers=as_admin, params={"after": newest["id"]}).json()
        assert [one["attempts"][0]["answer"] for one in rest["data"]] == ["fine"]
        delivered = client.get(f"{path}/deliveries", headers=as_admin, params={"status": "delivered"}).json()
        assert delivered["data"] == rest["data"]
        one = client.get(f"{path}/deliveries/{newest['id']}", headers=as_admin).json()
        assert one == newest

    def test_another_endpoints_delivery_is_not_there(
        self, client: TestClient, as_admin: Headers, endpoint: dict[str, Any], database: Database, workspace_id: str
    ) -> None:
        emit(database, workspace_id)
        (delivery,) = client.get(f"{PATH}/{endpoint['id']}/deliveries", headers=as_admin).json()["data"]
        other = make(client, as_admin, endpoint["url"])
        for method, path in (("GET", ""), ("POST", "/replay")):
            answer = client.request(method, f"{PATH}/{other['id']}/deliveries/{delivery['id']}{path}", headers=as_admin)
            assert answer.json()["error"]["code"] == "webhook_delivery_not_found"
