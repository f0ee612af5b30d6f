"""Steering runs on the wire."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from core.db.session import Database, workspace_scope
from core.jobs import service as jobs
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError, Lease

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Create = Callable[..., dict[str, Any]]
JOBS = "/v1/fine_tuning/jobs"


class Wire:
    def __init__(self, client: TestClient, headers: Headers) -> None:
        self.client, self.headers = client, headers

    def post(self, job_id: str, what: str, body: dict[str, Any] | None = None) -> Response:
        return self.client.post(f"{JOBS}/{job_id}/{what}", headers=self.headers, json=body)

    def patch(self, job_id: str, **body: object) -> Response:
        return self.client.patch(f"{JOBS}/{job_id}", headers=self.headers, json=body)

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"{JOBS}/{job_id}", headers=self.headers).json()
        return found

    def queue(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/v1/fine_tuning/queue", headers=self.headers).json()["data"]
        return found


@pytest.fixture
def wire(client: TestClient, as_member: Headers) -> Wire:
    return Wire(client, as_member)


@pytest.fixture
def fail(database: Database, claim: Callable[[], Lease]) -> Callable[[str, Blame], None]:
    def _fail(code: str, blame: Blame) -> None:
        lease = claim()
        with database.session(workspace_scope(lease.workspace_id)) as session:
            jobs.finish(session, lease, JobState.FAILED, error=JobError(code=code, message="It broke."), blame=blame)

    return _fail


class TestTerms:
    def test_a_job_shows_what_was_asked_and_what_may_be_done(self, create: Create) -> None:
        job = create(priority=3, start_after=4_000_000_000, max_cost_usd=25)
        assert (job["priority"], job["start_after"], job["max_cost_usd"]) == (3, 4_000_000_000, 25.0)
        assert (job["attempt"], job["num_interruptions"], job["pause_requested"]) == (0, 0, False)
        assert job["actions"] == ["pause", "cancel", "clone", "move"]
        assert (job["hardware"], job["cloned_from"], job["failure"], job["warning"]) == ("cpu", None, None, None)

    def test_a_limit_below_the_estimate_is_a_warning_and_no_error(
        self, client: TestClient, create: Create, as_member: Headers
    ) -> None:
        job = create(max_cost_usd=0.0001)
        assert job["status"] == "queued"
        assert job["warning"]["code"] == "estimate_above_limit"
        body = {"dataset_version_id": job["dataset_version_id"], "max_cost_usd": 0.0001}
        answer = client.post("/v1/fine_tuning/estimates", headers=as_member, json=body).json()
        assert {estimate["warning"]["code"] for estimate in answer["estimates"]} == {"estimate_above_limit"}
        assert (answer["price"]["hardware"], answer["queue"]["name"]) == ("cpu", "cpu")

    @pytest.mark.parametrize(
        "body",
        [
            {"priority": 101},
            {"priority": -101},
            {"priority": 10**30},
            {"max_cost_usd": 0},
            {"max_cost_usd": -1},
            {"max_cost_usd": 1e300},
            {"start_after": -1},
            {"start_after": 10**20},
        ],
    )
    def test_out_of_range(self, wire: Wire, create: Create, body: dict[str, Any]) -> None:
        job_id = create()["id"]
        for answer in (wire.patch(job_id, **body), wire.post(job_id, "clone", body)):
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, next(iter(body)))


class TestPauseAndResume:
    def test_a_double_click_changes_nothing(self, wire: Wire, create: Create) -> None:
        job_id = create()["id"]
        for _ in range(2):
            assert wire.post(job_id, "pause").json()["status"] == "paused"
        assert wire.queue() == []
        for _ in range(2):
            assert wire.post(job_id, "resume").json()["status"] == "queued"

    def test_a_conflict_is_told_in_plain_words_and_not_worth_retrying(self, wire: Wire, create: Create) -> None:
        job_id = create()["id"]
        wire.post(job_id, "cancel")
        answer = wire.post(job_id, "pause")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "job_state_conflict")
        assert error["message"] == f"Run {job_id} has been cancelled already, so there is nothing to pause."
        assert answer.headers["x-should-retry"] == "false"

    def test_a_failure_says_whose_it_is_and_offers_its_fix(
        self, wire: Wire, create: Create, fail: Callable[[str, Blame], None]
    ) -> None:
        job_id = create()["id"]
        fail("worker_lost", Blame.PLATFORM_ERROR)
        job = wire.job(job_id)
        assert job["status"] == "failed"
        assert (job["failure"]["class"], job["failure"]["code"], job["failure"]["is_ours"]) == (
            "worker_lost",
            "worker_lost",
            True,
        )
        assert job["failure"]["fix"]["action"] == "continue"
        assert "resume" in job["actions"]
        resumed = wire.post(job_id, "resume").json()
        assert (resumed["status"], resumed["failure"], resumed["error"]) == ("queued", None, None)

    def test_the_fix_of_a_failure_is_a_body_that_clone_takes(
        self, wire: Wire, create: Create, fail: Callable[[str, Blame], None]
    ) -> None:
        original = create()
        fail("non_finite_loss", Blame.USER_ERROR)
        fix = wire.job(original["id"])["failure"]["fix"]
        assert fix["action"] == "clone"
        made = wire.post(original["id"], "clone", fix["changes"]).json()
        assert made["cloned_from"] == original["id"]
        assert made["learning_rate"] == pytest.approx(original["learning_rate"] * 0.2)


class TestClone:
    def test_one_field_is_changed_and_all_else_is_the_same(self, wire: Wire, create: Create) -> None:
        knobs = {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 0.5}
        original = create(hyperparameters=knobs, name="First", metadata={"a": "b"}, adapter={"type": "lora", "rank": 4})
        made = wire.post(original["id"], "clone", {"hyperparameters": {"batch_size": 4}, "name": "Second"}).json()
        assert made["hyperparameters"] == knobs | {"batch_size": 4}
        assert (made["name"], made["metadata"], made["seed"]) == ("Second", {"a": "b"}, original["seed"])
        assert (made["adapter"], made["dataset_version_id"]) == (original["adapter"], original["dataset_version_id"])
        qlora = wire.post(original["id"], "clone", {"adapter": {"type": "qlora"}}).json()["adapter"]
        assert (qlora["type"], qlora["rank"], qlora["quantization"]) == ("qlora", 4, "nf4")
        assert wire.post(original["id"], "clone", {}).json()["hyperparameters"] == knobs

    def test_null_takes_a_field_back_to_its_default(self, wire: Wire, create: Create) -> None:
        original = create(name="First", suffix="s", seed=7, max_cost_usd=3)
        sent = {"name": None, "suffix": None, "seed": None, "max_cost_usd": None}
        made = wire.post(original["id"], "clone", sent).json()
        assert (made["name"], made["user_provided_suffix"], made["max_cost_usd"]) == (None, None, None)
        assert made["seed"] != 7

    def test_a_retry_of_the_client_finds_the_first_clone(
        self, client: TestClient, create: Create, as_member: Headers
    ) -> None:
        path = f"{JOBS}/{create()['id']}/clone"
        first = client.post(path, headers=as_member | {"idempotency-key": "k"}, json={}).json()
        again = client.post(path, headers=as_member | {"idempotency-key": "k"}, json={})
        assert (again.json(), again.headers["idempotent-replayed"]) == (first, "true")
        retried = client.post(path, headers=as_member | {"x-stainless-retry-count": "1"}, json={"name": "x"})
        assert retried.json()["id"] != first["id"]

    def test_a_misspelt_field_is_refused(self, wire: Wire, create: Create) -> None:
        answer = wire.post(create()["id"], "clone", {"hyperparameter": {}})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "hyperparameter")


class TestQueue:
    def test_it_lists_the_waiting_in_the_order_of_their_turns(self, wire: Wire, create: Create) -> None:
        first, second, urgent = create()["id"], create()["id"], create(priority=9)["id"]
        queue = wire.queue()
        assert [job["id"] for job in queue] == [urgent, first, second]
        assert [job["queue_position"] for job in queue] == [1, 2, 3]
        assert wire.post(second, "move", {"to": "front"}).json()["queue_position"] == 1
        assert [job["id"] for job in wire.queue()] == [second, urgent, first]
        assert wire.post(first, "move", {"before": urgent}).status_code == 200
        assert [job["id"] for job in wire.queue()] == [second, first, urgent]

    def test_only_ones_own_can_be_put_before(
        self, client: TestClient, wire: Wire, create: Create, as_stranger: Headers
    ) -> None:
        job_id = create()["id"]
        answer = wire.post(job_id, "move", {"before": "ftjob-none"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found")
        assert wire.post(job_id, "move", {}).status_code == 400
        assert client.get("/v1/fine_tuning/queue", headers=as_stranger).json()["data"] == []

    def test_priority_is_changed_where_it_waits(self, wire: Wire, create: Create) -> None:
        first, second = create()["id"], create()["id"]
        changed = wire.patch(second, priority=1, name="Soon", start_after=None).json()
        assert (changed["priority"], changed["name"], changed["queue_position"]) == (1, "Soon", 1)
        assert [job["id"] for job in wire.queue()] == [second, first]
