import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, Database
from core.jobs.types import Lease
from tests.api.fine_tuning.conftest import CURVE
from tests.factories.training import make_file, make_version

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Create = Callable[..., dict[str, Any]]
JOBS = "/v1/fine_tuning/jobs"


class TestCreate:
    def test_the_job_is_as_the_wire_says(self, create: Create, model: str, version: DatasetVersion) -> None:
        job = create(suffix="claims", metadata={"team": "a"}, name="Claims helper", recipe="fast")
        assert job["id"].startswith("ftjob-")
        assert (job["object"], job["model"], job["status"]) == ("fine_tuning.job", model, "queued")
        assert (job["error"], job["fine_tuned_model"], job["finished_at"], job["trained_tokens"]) == (None,) * 4
        assert (job["result_files"], job["integrations"], job["metadata"]) == ([], [], {"team": "a"})
        assert job["training_file"].startswith("file-")
        assert job["hyperparameters"] == job["method"]["supervised"]["hyperparameters"]
        assert job["hyperparameters"]["learning_rate_multiplier"] == 1.0
        assert isinstance(job["hyperparameters"]["n_epochs"], int)
        assert isinstance(job["seed"], int)
        assert (job["name"], job["recipe"], job["user_provided_suffix"]) == ("Claims helper", "fast", "claims")
        assert (job["dataset_version_id"], job["dataset_name"]) == (version.id, "Reviews")
        assert job["adapter"]["type"] in {"lora", "qlora"}
        assert job["estimate"]["cost_usd_low"] < job["estimate"]["cost_usd"] < job["estimate"]["cost_usd_high"]
        assert job["queue_position"] == 1

    def test_knobs_are_taken_from_the_method_and_from_the_old_place(self, create: Create) -> None:
        knobs = {"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 0.5}
        method = {"type": "supervised", "supervised": {"hyperparameters": knobs}}
        assert create(method=method)["hyperparameters"] == knobs
        assert create(hyperparameters=knobs)["hyperparameters"] == knobs

    def test_lora_may_be_asked_for(self, create: Create) -> None:
        adapter = create(adapter={"type": "lora", "rank": 4})["adapter"]
        assert (adapter["type"], adapter["rank"], adapter["quantization"]) == ("lora", 4, None)

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            ({"method": {"type": "dpo", "dpo": {}}}, "data_does_not_fit_method", "method.type"),
            ({"method": {"type": "reinforcement"}}, "unsupported_method", "method.type"),
            ({"hyperparameters": {"n_epochs": 51}}, "out_of_range", "method.supervised.hyperparameters.n_epochs"),
            ({"hyperparameters": {"batch_size": 257}}, "out_of_range", "method.supervised.hyperparameters.batch_size"),
            ({"suffix": ""}, "out_of_range", "suffix"),
            ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "unsupported_parameter", "integrations"),
            ({"training_file": "file-x"}, "training_data_required", "training_file"),
            ({"n_epoch": 3}, "invalid_value", "n_epoch"),
        ],
    )
    def test_what_cannot_be_done_is_refused_by_name(
        self,
        client: TestClient,
        as_member: Headers,
        model: str,
        version: DatasetVersion,
        body: dict[str, Any],
        code: str,
        param: str,
    ) -> None:
        asked = {"model": model, "dataset_version_id": version.id} | body
        answer = client.post(JOBS, headers=as_member, json=asked)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, code, param)

    def test_an_unknown_model_or_file_is_not_found(self, client: TestClient, as_member: Headers, model: str) -> None:
        answer = client.post(JOBS, headers=as_member, json={"model": "gpt-99", "training_file": "file-x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        answer = client.post(JOBS, headers=as_member, json={"model": model, "training_file": "file-x"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (404, "file_not_found", "training_file")

    def test_a_viewer_may_not(
        self, client: TestClient, as_viewer: Headers, model: str, version: DatasetVersion
    ) -> None:
        answer = client.post(JOBS, headers=as_viewer, json={"model": model, "dataset_version_id": version.id})
        assert answer.status_code == 403

    def test_a_retry_of_the_client_finds_the_first_job(
        self, client: TestClient, as_member: Headers, model: str, version: DatasetVersion
    ) -> None:
        body = {"model": model, "dataset_version_id": version.id}
        first = client.post(JOBS, headers=as_member, json=body).json()
        again = client.post(JOBS, headers=as_member | {"x-stainless-retry-count": "1"}, json=body).json()
        assert again["id"] == first["id"]
        assert len(client.get(JOBS, headers=as_member).json()["data"]) == 1


class TestRead:
    def test_of_another_workspace_nothing_is_seen(
        self, client: TestClient, create: Create, as_stranger: Headers
    ) -> None:
        path = f"{JOBS}/{create()['id']}"
        for url in (path, f"{path}/events", f"{path}/checkpoints", f"{path}/metrics", f"{path}/stream"):
            assert client.get(url, headers=as_stranger).status_code == 404
        assert client.post(f"{path}/cancel", headers=as_stranger).status_code == 404
        assert client.get(JOBS, headers=as_stranger).json()["data"] == []

    def test_pages_follow_the_last_id(self, client: TestClient, create: Create, as_viewer: Headers) -> None:
        ids = [create(metadata={"n": str(number)})["id"] for number in range(3)]
        first = client.get(JOBS, headers=as_viewer, params={"limit": 2}).json()
        assert [job["id"] for job in first["data"]] == [ids[2], ids[1]]
        assert first["has_more"]
        rest = client.get(JOBS, headers=as_viewer, params={"limit": 2, "after": first["last_id"]}).json()
        assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([ids[0]], False)
        found = client.get(JOBS, headers=as_viewer, params={"metadata[n]": "1"}).json()
        assert [job["id"] for job in found["data"]] == [ids[1]]
        assert client.get(JOBS, headers=as_viewer, params={"metadata": "null"}).json()["data"] == []

    def test_a_finished_run_tells_all(
        self,
        client: TestClient,
        create: Create,
        claim: Callable[[], Lease],
        succeed: Callable[[Lease], str],
        as_viewer: Headers,
    ) -> None:
        path = f"{JOBS}/{create()['id']}"
        model_id = succeed(claim())
        job = client.get(path, headers=as_viewer).json()
        assert (job["status"], job["fine_tuned_model"], job["trained_tokens"]) == ("succeeded", model_id, 400)
        assert job["finished_at"] >= job["created_at"]
        assert (job["seconds"], job["base_heldout_loss"], job["tuned_heldout_loss"]) == (60, 2.5, 0.5)
        assert job["cost_usd"] > 0
        curve = client.get(f"{path}/metrics", headers=as_viewer).json()["data"]
        assert curve == CURVE
        checkpoints = client.get(f"{path}/checkpoints", headers=as_viewer).json()["data"]
        assert [found["step_number"] for found in checkpoints] == [3, 2, 1]
        assert checkpoints[1]["fine_tuned_model_checkpoint"] == model_id
        assert checkpoints[1]["metrics"] == {"step": 2, "valid_loss": 0.5, "full_valid_loss": 0.5}
        events = client.get(f"{path}/events", headers=as_viewer, params={"limit": 1}).json()
        assert events["data"][0]["message"] == "The job has successfully completed"
        assert events["data"][0]["object"] == "fine_tuning.job.event"
        assert events["has_more"]


class TestCancel:
    def test_a_second_cancel_gives_the_same_answer_and_one_after_the_end_a_conflict(
        self,
        client: TestClient,
        create: Create,
        claim: Callable[[], Lease],
        succeed: Callable[[Lease], str],
        as_member: Headers,
    ) -> None:
        path = f"{JOBS}/{create()['id']}/cancel"
        for _ in range(2):
            answer = client.post(path, headers=as_member)
            assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        done = create(name="another")["id"]
        succeed(claim())
        answer = client.post(f"{JOBS}/{done}/cancel", headers=as_member)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "job_state_conflict")
        assert answer.headers["x-should-retry"] == "false"


class TestEstimates:
    def test_every_recipe_is_priced_and_one_is_recommended(
        self, client: TestClient, as_viewer: Headers, model: str, version: DatasetVersion
    ) -> None:
        answer = client.post(
            "/v1/fine_tuning/estimates", headers=as_viewer, json={"dataset_version_id": version.id}
        ).json()
        assert answer["object"] == "fine_tuning.estimate"
        assert [estimate["recipe"] for estimate in answer["estimates"]] == ["fast", "balanced", "best"]
        assert [estimate["is_recommended"] for estimate in answer["estimates"]] == [False, True, False]
        assert answer["refusals"] == []
        assert answer["price"]["hardware"] == "cpu"
        assert answer["queue"]["position"] == 1

    def test_a_file_that_was_not_read_yet_has_a_rough_one(
        self, client: TestClient, as_viewer: Headers, model: str, database: Database, workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            file = make_file(session, workspace_id)
        body = {"training_file": file.id, "recipe": "fast"}
        answer = client.post("/v1/fine_tuning/estimates", headers=as_viewer, json=body).json()
        assert [estimate["recipe"] for estimate in answer["estimates"]] == ["fast"]
        assert answer["estimates"][0]["cost_usd"] > 0

    def test_of_another_workspaces_data_there_is_none(
        self, client: TestClient, as_viewer: Headers, model: str, database: Database, other_workspace_id: str
    ) -> None:
        with database.session(SYSTEM) as session:
            foreign = make_version(session, other_workspace_id)
        answer = client.post("/v1/fine_tuning/estimates", headers=as_viewer, json={"dataset_version_id": foreign.id})
        assert answer.status_code == 404


class TestStream:
    def test_it_shows_everything_once_and_ends(
        self,
        client: TestClient,
        create: Create,
        claim: Callable[[], Lease],
        succeed: Callable[[Lease], str],
        as_viewer: Headers,
    ) -> None:
        path = f"{JOBS}/{create()['id']}/stream"
        succeed(claim())
        whole = _parse(client.get(path, headers=as_viewer).text)
        names = [name for name, _, _ in whole]
        assert names.count("job") == 1
        assert names.count("metrics") == 3
        assert names[-1] == "end"
        ids = [int(event_id) for _, event_id, _ in whole if event_id]
        assert ids == sorted(ids)
        rest = _parse(client.get(path, headers=as_viewer | {"last-event-id": str(ids[-2])}).text)
        assert _parse(client.get(f"{path}?last_event_id={ids[-2]}", headers=as_viewer).text) == rest
        assert [event_id for _, event_id, _ in rest if event_id] == [str(ids[-1])]
        assert next(body for name, _, body in whole if name == "job")["status"] == "succeeded"

    @pytest.mark.parametrize("event_id", ["x", "-1", "9" * 30, "9" * 5000, b"\xb2"])
    def test_an_id_that_it_never_gave_starts_at_the_beginning(
        self, client: TestClient, create: Create, as_viewer: Headers, event_id: str | bytes
    ) -> None:
        path = f"{JOBS}/{create()['id']}/stream"
        headers: Any = as_viewer | {"last-event-id": event_id}
        assert _parse(client.get(path, headers=headers).text)[0][0] == "log"

    def test_a_waiting_run_is_shown_as_it_is(self, client: TestClient, create: Create, as_viewer: Headers) -> None:
        answer = client.get(f"{JOBS}/{create()['id']}/stream", headers=as_viewer)
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = _parse(answer.text)
        assert [name for name, _, _ in found] == ["log", "log", "log", "job"]


def _parse(text: str) -> list[tuple[str, str | None, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
    return found
