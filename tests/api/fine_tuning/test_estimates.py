"""What is said before a run: quotes for each recipe, and a rehearsal of a create."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.fine_tuning.requests import EstimateRequest
from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, Database, workspace_scope
from core.jobs.kinds import QueueName
from core.workers import service as workers
from core.workers.types import Device, Vitals
from tests.factories.training import make_version

pytestmark = pytest.mark.stack

ESTIMATE, DRY_RUN = "/v1/fine_tuning/jobs/estimate", "/v1/fine_tuning/jobs/dry_run"
GIB = 2**30
Headers = dict[str, str]
Join = Callable[..., None]


@pytest.mark.parametrize("method", ["supervised", "dpo", "continued_pretraining"])
def test_one_pass_is_asked_for_in_one_way_whatever_is_learned(method: str) -> None:
    body: dict[str, Any] = {"method": {"type": method}, "hyperparameters": {"n_epochs": 1}}
    asked = EstimateRequest.model_validate({**body, "dataset_version_id": "dsv_1"}).to_run_request(default_model="m")
    assert (asked.method_type, asked.n_epochs) == (method, 1)


@pytest.fixture
def join(database: Database) -> Join:
    """A live worker with GPUs of so many gigabytes, or with a processor and so much memory."""

    def _join(*gpus_gib: int, hardware: str = "cpu", memory_gib: int = 16) -> None:
        devices = tuple(
            Device(index=i, uuid=str(i), name="x", memory_bytes=gib * GIB, used_bytes=0, utilization=None)
            for i, gib in enumerate(gpus_gib)
        )
        with database.session(SYSTEM) as session:
            workers.beat(
                session,
                worker_id=f"w-{hardware}",
                hostname="h",
                queue_name=QueueName.GPU if gpus_gib else QueueName.CPU,
                pid=1,
                version="0",
                vitals=Vitals(hardware=hardware, devices=devices, memory_bytes=memory_gib * GIB),
            )

    return _join


@pytest.fixture
def ask(client: TestClient, as_viewer: Headers, version: DatasetVersion) -> Callable[..., Any]:
    def _ask(path: str = ESTIMATE, status: int = 200, **body: object) -> Any:  # noqa: ANN401 - JSON
        answer = client.post(path, headers=as_viewer, json={"dataset_version_id": version.id} | body)
        assert answer.status_code == status, answer.text
        return answer.json()

    return _ask


class TestEstimate:
    def test_it_says_how_the_machine_would_do_it(self, ask: Callable[..., Any], model: str) -> None:
        (one,) = ask(recipe="balanced")["estimates"]
        assert one["execution"] == {
            "micro_batch_tokens": 512,
            "gradient_checkpointing": False,
            "compile": False,
            "num_processes": 1,
            "sharding": "none",
        }
        assert sum(one["memory"].values()) == one["peak_memory_bytes"]
        assert one["fits_on"][0]["gpu"].endswith(" 24 GB")
        assert (one["based_on"], one["num_past_runs"]) == ("catalogue", 0)
        assert one["hyperparameters"]["early_stopping_patience"] == 3

    def test_of_a_method_without_a_rank_there_is_none(self, ask: Callable[..., Any], model: str) -> None:
        (one,) = ask(recipe="fast", adapter={"type": "prompt_tuning"})["estimates"]
        assert (one["hyperparameters"]["rank"], one["hyperparameters"]["num_virtual_tokens"]) == (None, 20)

    def test_a_70b_model_is_planned_on_one_card_of_80_gb_before_it_is_on_the_disk(
        self, ask: Callable[..., Any], join: Join
    ) -> None:
        join(80, hardware="gpu:h100")
        (one,) = ask(model="llama-3.3-70b-instruct", recipe="balanced")["estimates"]
        assert (one["hardware"], one["hyperparameters"]["method"]) == ("gpu:h100", "qlora")
        assert one["peak_memory_bytes"] < one["available_memory_bytes"] == 80 * GIB

    def test_what_fits_nowhere_is_refused_with_what_to_change(self, ask: Callable[..., Any], join: Join) -> None:
        join(24, hardware="gpu:rtx-4090")
        error = ask(model="llama-3.3-70b-instruct", status=400)["error"]
        assert (error["code"], error["param"]) == ("does_not_fit", "model")
        assert error["details"]["changes"] == [{"model": "qwen3-32b"}]

    def test_a_recipe_that_does_not_fit_keeps_no_other_from_being_shown(
        self, ask: Callable[..., Any], model: str, join: Join, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(globals(), "GIB", 1)
        join(memory_gib=2**30)
        adapter = {"type": "lora"}
        balanced, best = (
            ask(recipe=recipe, adapter=adapter, status=400)["error"]["details"]["needed_bytes"]
            for recipe in ("balanced", "best")
        )
        assert balanced < best
        join(memory_gib=int((balanced + best) / 2 / 0.9))
        body = ask(adapter=adapter)
        assert [one["recipe"] for one in body["estimates"]] == ["fast", "balanced"]
        assert [(one["recipe"], one["code"]) for one in body["refusals"]] == [("best", "does_not_fit")]


class TestDryRun:
    def test_it_answers_everything_and_makes_nothing(
        self, ask: Callable[..., Any], client: TestClient, as_viewer: Headers, model: str, join: Join
    ) -> None:
        join()
        body = ask(DRY_RUN, model=model, seed=5, adapter={"type": "rslora", "rank": 8})
        assert body["would_start"]
        assert [check["name"] for check in body["checks"]] == [
            "request",
            "model",
            "model_on_disk",
            "data",
            "hardware",
            "worker",
        ]
        assert (body["spec"]["seed"], body["spec"]["method"]["type"], body["spec"]["method"]["rank"]) == (
            5,
            "rslora",
            8,
        )
        assert body["estimate"]["execution"]["micro_batch_tokens"] == 512
        assert client.get("/v1/fine_tuning/jobs", headers=as_viewer).json()["data"] == []

    def test_every_check_is_made_though_one_fails(self, ask: Callable[..., Any], settings: Settings) -> None:
        body = ask(DRY_RUN, model="smollm2-135m-instruct")
        assert not body["would_start"]
        failed = {check["name"]: check["error"]["code"] for check in body["checks"] if not check["passed"]}
        assert failed == {"model_on_disk": "model_not_ready", "worker": "no_worker"}
        assert body["spec"] is not None

    def test_a_request_that_makes_no_sense_ends_it(self, ask: Callable[..., Any], model: str) -> None:
        body = ask(DRY_RUN, model=model, seed=-1)
        assert [(check["name"], check["passed"]) for check in body["checks"]] == [("request", False)]
        assert body["checks"][0]["error"]["param"] == "seed"
        assert (body["spec"], body["estimate"]) == (None, None)

    def test_a_doomed_run_is_told_what_would_fit(self, ask: Callable[..., Any], join: Join) -> None:
        join(24, hardware="gpu:rtx-4090")
        body = ask(DRY_RUN, model="llama-3.3-70b-instruct")
        error = next(check["error"] for check in body["checks"] if check["name"] == "hardware")
        assert error["code"] == "does_not_fit"
        assert error["details"]["fits_on"][-1]["fits"]


class TestLeakage:
    """Rows to measure with that are learned from too."""

    @pytest.fixture
    def versions(self, database: Database, workspace_id: str) -> tuple[str, str]:
        """Both hold the same hundred rows."""
        with database.session(workspace_scope(workspace_id)) as session:
            made = [make_version(session, workspace_id, with_rows=True) for _ in range(2)]
            return made[0].id, made[1].id

    def test_a_rehearsal_tells_it_and_does_not_refuse(
        self, client: TestClient, as_member: Headers, model: str, versions: tuple[str, str]
    ) -> None:
        asked = {"model": model, "dataset_version_id": versions[0]}
        assert client.post(DRY_RUN, headers=as_member, json=asked).json()["leakage"] is None
        with_both = asked | {"validation_dataset_version_id": versions[1]}
        told = client.post(DRY_RUN, headers=as_member, json=with_both).json()
        found = told["leakage"]
        assert (found["num_measured"], found["num_same"], found["num_nearly"]) == (100, 100, 0)
        assert found["rows"][0] == {"number": 1, "training_number": 1, "is_same": True}
        assert found["message"].startswith("100 of the 100 examples that this is checked with are learned from too")
        assert found["advice"] is not None
        assert {"name": "validation_data", "passed": True, "error": None} in told["checks"]

    def test_a_job_tells_it_with_what_it_is_measured_with(
        self, create: Callable[..., dict[str, Any]], versions: tuple[str, str]
    ) -> None:
        made = create(dataset_version_id=versions[0], validation_dataset_version_id=versions[1])
        assert (made["validation_dataset_version_id"], made["leakage"]["num_same"]) == (versions[1], 100)
        assert made["validation_file"] is not None
        plain = create(dataset_version_id=versions[0])
        assert (plain["validation_dataset_version_id"], plain["leakage"]) == (None, None)

    def test_a_copy_is_measured_with_the_same_until_it_is_told_otherwise(
        self,
        client: TestClient,
        as_member: Headers,
        create: Callable[..., dict[str, Any]],
        versions: tuple[str, str],
    ) -> None:
        made = create(dataset_version_id=versions[0], validation_dataset_version_id=versions[1])
        url = f"/v1/fine_tuning/jobs/{made['id']}/clone"
        same = client.post(url, headers=as_member, json={}).json()
        assert same["validation_dataset_version_id"] == versions[1]
        without = client.post(url, headers=as_member, json={"validation_dataset_version_id": None}).json()
        assert (without["validation_dataset_version_id"], without["validation_file"]) == (None, None)
        by_file = client.post(url, headers=as_member, json={"validation_file": made["validation_file"]}).json()
        assert by_file["validation_file"] == made["validation_file"]

    @pytest.mark.parametrize(
        ("asked", "status", "code"),
        [
            ({"validation_dataset_version_id": "dsv_none"}, 404, "dataset_version_not_found"),
            ({"validation_dataset_version_id": "dsv_none", "validation_file": "f"}, 400, "settings_do_not_fit"),
        ],
    )
    def test_what_does_not_fit(
        self,
        client: TestClient,
        as_member: Headers,
        model: str,
        versions: tuple[str, str],
        asked: dict[str, str],
        status: int,
        code: str,
    ) -> None:
        body = {"model": model, "dataset_version_id": versions[0]} | asked
        refused = client.post("/v1/fine_tuning/jobs", headers=as_member, json=body)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (status, code, "validation_dataset_version_id")
