"""Who runs the installation sees and steers the work of everybody, and every workspace can read what was done to it."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.backends.queue import RecordingTaskQueue
from core.backends.registry import Backends
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs import leases
from core.jobs import service as jobs
from core.jobs.kinds import QueueName
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError, Lease
from core.workers import service as workers
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role
from tests.factories.training import make_version

pytestmark = pytest.mark.stack

Headers = dict[str, str]


class TestWhoMay:
    def test_the_right_is_in_the_session(self, client: TestClient, as_operator: Headers, as_admin: Headers) -> None:
        assert "installation:admin" in client.get("/v1/auth/session", headers=as_operator).json()["permissions"]
        assert "installation:admin" not in client.get("/v1/auth/session", headers=as_admin).json()["permissions"]

    @pytest.mark.parametrize(("role", "status"), [(Role.ADMIN, 200), (Role.MEMBER, 403), (Role.VIEWER, 403)])
    def test_a_key_has_it_only_with_the_role_of_an_admin(
        self, client: TestClient, database: Database, operator: Principal, role: Role, status: int
    ) -> None:
        with database.session(SYSTEM) as session:
            secret = workspaces.create_api_key(session, principal=operator, name="scrape", role=role).secret
        answer = client.get("/v1/admin/queues", headers={"authorization": f"Bearer {secret}"})
        assert answer.status_code == status, answer.text


class TestJobs:
    def test_a_job_shows_its_run_its_workspace_and_its_leases(
        self, client: TestClient, as_operator: Headers, run_id: str, job_id: str, claim: Callable[[], Lease]
    ) -> None:
        waiting = client.get(f"/v1/admin/jobs/{job_id}", headers=as_operator).json()
        assert (waiting["state"], waiting["title"], waiting["run_id"]) == ("queued", "Training claims-helper", run_id)
        assert waiting["workspace"]["name"] == "Acme"
        assert (waiting["lease"], waiting["attempts"]) == (None, [])
        claim()
        running = client.get(f"/v1/admin/jobs/{job_id}", headers=as_operator).json()
        assert running["lease"]["worker_id"] == "w1"
        assert running["lease"]["expires_at"] > time.time()
        assert [(found["attempt"], found["outcome"]) for found in running["attempts"]] == [(1, None)]

    def test_the_list_pages_and_filters(
        self, client: TestClient, as_operator: Headers, workspace_id: str, job_id: str
    ) -> None:
        first = client.get("/v1/admin/jobs?limit=1", headers=as_operator).json()
        assert (first["data"][0]["id"], first["has_more"]) == (job_id, True)
        second = client.get(f"/v1/admin/jobs?limit=1&after={first['last_id']}", headers=as_operator).json()
        assert second["data"][0]["title"] == "Reading reviews.jsonl"
        for query, num in (("state=queued", 1), ("queue=gpu", 0), (f"workspace_id={workspace_id}", 2)):
            assert len(client.get(f"/v1/admin/jobs?{query}", headers=as_operator).json()["data"]) == num, query
        assert client.get("/v1/admin/jobs?state=lost", headers=as_operator).status_code == 400

    def test_a_log_is_read_while_the_job_runs(
        self,
        client: TestClient,
        database: Database,
        as_operator: Headers,
        job_id: str,
        claim: Callable[[], Lease],
    ) -> None:
        lease = claim()
        with database.session(workspace_scope(lease.workspace_id)) as session:
            leases.append_logs(session, lease, "loading\n")
        url = f"/v1/admin/jobs/{job_id}/logs"
        first = client.get(url, headers=as_operator).json()
        assert [(line["attempt"], line["text"]) for line in first["data"]] == [(1, "loading\n")]
        with database.session(workspace_scope(lease.workspace_id)) as session:
            leases.append_logs(session, lease, "step 1\n")
        seq = first["data"][-1]["seq"]
        rest = client.get(f"{url}?after_seq={seq}", headers=as_operator).json()
        assert [line["text"] for line in rest["data"]] == ["step 1\n"]
        assert rest["has_more"] is False

    def test_a_killed_job_is_queued_again_and_its_worker_is_fenced(
        self,
        client: TestClient,
        database: Database,
        backends: Backends,
        as_operator: Headers,
        as_admin: Headers,
        run_id: str,
        job_id: str,
        claim: Callable[[], Lease],
    ) -> None:
        url = f"/v1/admin/jobs/{job_id}/kill"
        assert client.post(url, headers=as_operator).status_code == 409
        lease = claim()
        assert isinstance(backends.queue, RecordingTaskQueue)
        backends.queue.rung.clear()
        killed = client.post(url, headers=as_operator).json()
        assert (killed["state"], killed["lease"], killed["attempts"][0]["outcome"]) == ("queued", None, "killed")
        assert backends.queue.rung == [("cpu", job_id)]
        with database.session(workspace_scope(lease.workspace_id)) as session:
            assert leases.heartbeat(session, lease, lease_s=60).fenced
        assert _audit(client, as_admin, "admin.job_killed") == [
            (run_id, {"job_id": job_id, "kind": "training.run", "attempt": 1, "worker_id": "w1"})
        ]
        assert _audit(client, as_operator, "admin.job_killed") == []

    def test_a_failed_run_is_taken_up_again(
        self,
        client: TestClient,
        database: Database,
        as_operator: Headers,
        as_admin: Headers,
        job_id: str,
        claim: Callable[[], Lease],
    ) -> None:
        url = f"/v1/admin/jobs/{job_id}/retry"
        assert client.post(url, headers=as_operator).status_code == 409
        lease = claim()
        error = JobError(code="disk_full", message="The machine's disk is full.")
        with database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.PLATFORM_ERROR)
        retried = client.post(url, headers=as_operator).json()
        assert (retried["state"], retried["error"], retried["blame"]) == ("queued", None, None)
        assert _audit(client, as_admin, "admin.job_retried")[0][1]["state"] == "failed"

    def test_a_cancel_ends_what_waits_at_once(
        self, client: TestClient, as_operator: Headers, as_admin: Headers, run_id: str, job_id: str
    ) -> None:
        url = f"/v1/admin/jobs/{job_id}/cancel"
        assert client.post(url, headers=as_operator).json()["state"] == "cancelled"
        assert client.post(url, headers=as_operator).json()["state"] == "cancelled"
        assert client.get(f"/v1/fine_tuning/jobs/{run_id}", headers=as_admin).json()["status"] == "cancelled"
        assert len(_audit(client, as_admin, "admin.job_cancelled")) == 1
        assert client.post(f"/v1/admin/jobs/{job_id}/retry", headers=as_operator).status_code == 409

    def test_a_version_whose_reading_is_cancelled_has_failed(
        self, client: TestClient, database: Database, as_operator: Headers, as_admin: Headers, workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            version = make_version(session, workspace_id, status="validating")
            jobs.get(session, workspace_id=workspace_id, job_id=version.job_id).payload = {"version_id": version.id}
        cancelled = client.post(f"/v1/admin/jobs/{version.job_id}/cancel", headers=as_operator)
        assert cancelled.json()["state"] == "cancelled", cancelled.text
        found = client.get(f"/v1/dataset_versions/{version.id}", headers=as_admin).json()
        assert (found["status"], found["error"]["code"]) == ("failed", "ingest_cancelled")
        assert client.post(f"/v1/admin/jobs/{version.job_id}/retry", headers=as_operator).status_code == 409


class TestQueues:
    def test_every_queue_is_told(
        self, client: TestClient, as_operator: Headers, workspace_id: str, job_id: str, claim: Callable[[], Lease]
    ) -> None:
        claim()
        found = {queue["name"]: queue for queue in client.get("/v1/admin/queues", headers=as_operator).json()["data"]}
        assert set(found) == {"io", "cpu", "gpu"}
        assert (found["cpu"]["state"], found["gpu"]["state"]) == ("ok", "no_worker")
        assert (found["cpu"]["num_running"], found["cpu"]["num_workers"], found["cpu"]["num_busy_workers"]) == (1, 1, 1)
        assert [share["workspace_id"] for share in found["cpu"]["workspaces"]] == [workspace_id]

    def test_a_limit_holds_and_is_lifted(
        self,
        client: TestClient,
        database: Database,
        as_operator: Headers,
        as_admin: Headers,
        workspace_id: str,
        job_id: str,
        claim: Callable[[], Lease],
    ) -> None:
        url = f"/v1/admin/queues/cpu/workspaces/{workspace_id}"
        limited = client.patch(url, headers=as_operator, json={"max_running": 0}).json()
        assert limited["workspaces"][0]["max_running"] == 0
        with database.session(SYSTEM) as session:
            assert jobs.claim(session, queue_name="cpu", worker_id="w1", lease_s=60) is None
        lifted = client.patch(url, headers=as_operator, json={"max_running": None}).json()
        assert lifted["workspaces"][0]["max_running"] is None
        assert claim().job_id == job_id
        assert [details for _, details in _audit(client, as_admin, "admin.limit_changed")] == [
            {"queue": "cpu", "max_running": None},
            {"queue": "cpu", "max_running": 0},
        ]

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("cpu/workspaces/ws_none", {"max_running": 1}, 404),
            ("tpu/workspaces/ws_none", {"max_running": 1}, 400),
            ("cpu/workspaces/ws_none", {"max_running": -1}, 400),
            ("cpu/workspaces/ws_none", {}, 400),
        ],
    )
    def test_what_cannot_be_limited_is_refused(
        self, client: TestClient, as_operator: Headers, path: str, body: dict[str, int], status: int
    ) -> None:
        assert client.patch(f"/v1/admin/queues/{path}", headers=as_operator, json=body).status_code == status


class TestWorkers:
    def test_a_worker_shows_what_it_works_on(
        self, client: TestClient, as_operator: Headers, job_id: str, claim: Callable[[], Lease]
    ) -> None:
        claim()
        worker = client.get("/v1/admin/workers", headers=as_operator).json()["data"][0]
        assert (worker["id"], worker["status"], worker["hostname"], worker["token_name"]) == (
            "w1", "working", "box", None,
        )  # fmt: skip
        assert (worker["job"]["id"], worker["job"]["title"]) == (job_id, "Training claims-helper")
        assert worker["job"]["lease_expires_at"] > time.time()

    def test_it_is_drained_and_let_on_again(
        self, client: TestClient, as_operator: Headers, job_id: str, claim: Callable[[], Lease]
    ) -> None:
        claim()
        url = "/v1/admin/workers/w1"
        drained = client.post(f"{url}/drain", headers=as_operator, json={"mode": "now"}).json()
        assert drained["status"] == "draining"
        assert client.post(f"{url}/undrain", headers=as_operator).json()["status"] == "working"
        assert client.post(f"{url}/drain", headers=as_operator, json={"mode": "soon"}).status_code == 400
        assert _audit_above(client, as_operator, "admin.worker_drained") == [("w1", {"mode": "now", "hostname": "box"})]
        assert _audit_above(client, as_operator, "admin.worker_undrained") == [("w1", {"hostname": "box"})]

    def test_a_worker_that_is_not_there_is_not_found(self, client: TestClient, as_operator: Headers) -> None:
        assert client.post("/v1/admin/workers/w9/drain", headers=as_operator, json={}).status_code == 404
        assert client.post("/v1/admin/workers/w9/undrain", headers=as_operator).status_code == 404


class TestTokens:
    def test_a_token_is_shown_once_and_lets_a_worker_in(
        self, client: TestClient, database: Database, as_operator: Headers
    ) -> None:
        made = client.post("/v1/admin/worker_tokens", headers=as_operator, json={"name": "the big box"}).json()
        assert made["token"] in made["command"]
        assert made["command"].startswith("tailorbird worker --database ")
        with database.session(SYSTEM) as session:
            orders = workers.beat(
                session,
                worker_id="w1",
                hostname="box",
                queue_name=QueueName.CPU,
                pid=1,
                version="1",
                token=made["token"],
                is_token_required=True,
            )
        assert orders.is_let_in
        listed = client.get("/v1/admin/worker_tokens", headers=as_operator)
        assert made["token"] not in listed.text
        token = listed.json()["data"][0]
        assert (token["name"], token["num_workers"], token["revoked_at"]) == ("the big box", 1, None)
        assert token["last_used_at"] is not None
        assert client.get("/v1/admin/workers", headers=as_operator).json()["data"][0]["token_name"] == "the big box"

    def test_a_revoked_token_drains_its_workers(
        self, client: TestClient, database: Database, as_operator: Headers
    ) -> None:
        made = client.post("/v1/admin/worker_tokens", headers=as_operator, json={"name": "lost box"}).json()
        beat: dict[str, Any] = {
            "worker_id": "w1", "hostname": "box", "queue_name": QueueName.CPU, "pid": 1, "version": "1",
        }  # fmt: skip
        with database.session(SYSTEM) as session:
            workers.beat(session, **beat, token=made["token"], is_token_required=True)
        revoked = client.delete(f"/v1/admin/worker_tokens/{made['id']}", headers=as_operator).json()
        assert revoked["revoked_at"] is not None
        with database.session(SYSTEM) as session:
            assert workers.beat(session, **beat, token=made["token"], is_token_required=True).drain == "now"
        assert client.delete("/v1/admin/worker_tokens/wtk_none", headers=as_operator).status_code == 404
        names = [details["name"] for _, details in _audit_above(client, as_operator, "admin.worker_token_revoked")]
        assert names == ["lost box"]


def _audit(client: TestClient, headers: Headers, action: str) -> list[tuple[str, dict[str, Any]]]:
    """Target and details of what a workspace can read of it, newest first."""
    found = client.get(f"/v1/audit_events?action={action}", headers=headers).json()["data"]
    return [(event["target_id"], event["details"]) for event in found]


def _audit_above(client: TestClient, headers: Headers, action: str) -> list[tuple[str, dict[str, Any]]]:
    """What the installation's own log says."""
    path = f"/v1/admin/audit_events?workspace_id=installation&action={action}"
    return [(event["target_id"], event["details"]) for event in client.get(path, headers=headers).json()["data"]]
