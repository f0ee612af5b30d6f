"""What is said before a run: quotes for each recipe, and a rehearsal of a create."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.fine_tuning.requests import EstimateRequest
from core.config import Settings
from core.datasets.models import DatasetVersion
from core.db.session import SYSTEM, Database
from core.jobs.kinds import QueueName
from core.workers import service as workers
from core.workers.types import Device, Vitals

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
