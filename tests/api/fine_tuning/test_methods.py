"""Objectives, methods and the numbers of the loop, as they are asked for, echoed, cloned and refused on the wire."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.datasets.models import DatasetVersion
from core.datasets.types import RowKind, VersionStatus
from core.db.session import Database, workspace_scope
from core.training import service as training
from tests.factories.training import finish_version, make_version

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Create = Callable[..., dict[str, Any]]
MakeVersion = Callable[[RowKind], DatasetVersion]
JOBS = "/v1/fine_tuning/jobs"
AUTO = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


@pytest.fixture
def version_of(database: Database, workspace_id: str) -> MakeVersion:
    def _version(kind: RowKind) -> DatasetVersion:
        with database.session(workspace_scope(workspace_id)) as session:
            return make_version(session, workspace_id, kind=kind)

    return _version


class TestMethod:
    @pytest.mark.parametrize("method_type", ["dpo", "orpo"])
    def test_a_preference_method_is_echoed_with_its_resolved_numbers(
        self, create: Create, version_of: MakeVersion, method_type: str
    ) -> None:
        asked = {"type": method_type, method_type: {"hyperparameters": {"n_epochs": 2, "beta": 0.2}}}
        job = create(dataset_version_id=version_of(RowKind.PREFERENCE).id, method=asked)
        assert (job["status"], job["hyperparameters"]) == ("queued", None)
        assert {*job["method"]} == {"type", method_type}
        found = job["method"][method_type]["hyperparameters"]
        assert (found["n_epochs"], found["beta"], found["learning_rate_multiplier"]) == (2, 0.2, 1.0)
        assert isinstance(found["batch_size"], int)
        assert ("label_smoothing" in found) is (method_type == "dpo")

    def test_auto_becomes_a_number_when_the_data_is_checked(
        self, create: Create, database: Database, workspace_id: str, client: TestClient, as_member: Headers
    ) -> None:
        with database.session(workspace_scope(workspace_id)) as session:
            version = make_version(session, workspace_id, status=VersionStatus.VALIDATING, kind=RowKind.PREFERENCE)
        job = create(dataset_version_id=version.id, method={"type": "dpo"}, adapter={"type": "rslora"})
        assert job["method"] == {
            "type": "dpo",
            "dpo": {"hyperparameters": AUTO | {"beta": "auto", "label_smoothing": "auto"}},
        }
        assert (job["adapter"]["type"], job["adapter"]["rank"], job["training"]["schedule"]) == ("rslora", None, None)
        with database.session(workspace_scope(workspace_id)) as session:
            finish_version(session.get_one(DatasetVersion, version.id))
            session.flush()
            training.on_version_finished(session, workspace_id=workspace_id, version_id=version.id)
        planned = client.get(f"{JOBS}/{job['id']}", headers=as_member).json()
        found = planned["method"]["dpo"]["hyperparameters"]
        assert all(isinstance(value, int | float) for value in found.values())
        assert planned["adapter"]["rank"] > 0
        assert planned["adapter"]["quantization"] in {"nf4", "none"}

    def test_plain_text_is_read_on(self, create: Create, version_of: MakeVersion) -> None:
        job = create(dataset_version_id=version_of(RowKind.TEXT).id, method={"type": "continued_pretraining"})
        assert {*job["method"]} == {"type", "continued_pretraining"}
        assert {*job["method"]["continued_pretraining"]["hyperparameters"]} == {*AUTO}

    @pytest.mark.parametrize(
        ("kind", "method", "fitting"),
        [
            (RowKind.PREFERENCE, None, "'dpo' or 'orpo'"),
            (RowKind.TEXT, {"type": "dpo"}, "'continued_pretraining'"),
            (RowKind.CHAT, {"type": "dpo"}, "'supervised'"),
            (RowKind.CHAT, {"type": "continued_pretraining"}, "'supervised'"),
        ],
    )
    def test_data_of_another_kind_is_refused_with_what_fits(
        self,
        client: TestClient,
        as_member: Headers,
        model: str,
        version_of: MakeVersion,
        kind: RowKind,
        method: dict[str, Any] | None,
        fitting: str,
    ) -> None:
        body = {"model": model, "dataset_version_id": version_of(kind).id, "method": method}
        for path in (JOBS, "/v1/fine_tuning/estimates"):
            answer = client.post(path, headers=as_member, json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (
                400,
                "data_does_not_fit_method",
                "method.type",
            )
            assert fitting in error["message"]

    @pytest.mark.parametrize(
        ("body", "code", "param"),
        [
            ({"method": {"type": "reinforcement", "reinforcement": {}}}, "unsupported_method", "method.type"),
            ({"method": {"type": "sorcery"}}, "unsupported_method", "method.type"),
            ({"method": {"type": "supervised", "dpo": {}}}, "setting_does_not_apply", "method.dpo"),
            ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"beta": 1}}}}, "invalid_value",
             "method.supervised.hyperparameters.beta"),
            ({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}}, "out_of_range",
             "method.dpo.hyperparameters.beta"),
            ({"method": {"type": "dpo"}, "adapter": {"type": "full"}}, "settings_do_not_fit", "adapter.type"),
            ({"adapter": {"type": "magic"}}, "invalid_value", "adapter.type"),
            ({"adapter": {"type": "lora", "rank": 0}}, "out_of_range", "adapter.rank"),
            ({"adapter": {"type": "full", "rank": 8}}, "setting_does_not_apply", "adapter.rank"),
            ({"training": {"schedule": "sideways"}}, "invalid_value", "training.schedule"),
            ({"training": {"warmup_ratio": 2}}, "out_of_range", "training.warmup_ratio"),
            ({"training": {"momentum": 0.9}}, "invalid_value", "training.momentum"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_refused_by_name(
        self,
        client: TestClient,
        as_member: Headers,
        model: str,
        version_of: MakeVersion,
        body: dict[str, Any],
        code: str,
        param: str,
    ) -> None:
        asked = {"model": model, "dataset_version_id": version_of(RowKind.CHAT).id} | body
        answer = client.post(JOBS, headers=as_member, json=asked)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, code, param), error


class TestAdapterAndTraining:
    @pytest.mark.parametrize(
        "adapter",
        [
            {"type": "lora", "rank": 8, "alpha": 8, "dropout": 0.1, "target_modules": "attention"},
            {"type": "qlora", "rank": 8, "quantization": "nf4"},
            {"type": "rslora", "rank": 64, "quantization": "none"},
            {"type": "dora", "rank": 8, "quantization": "none"},
            {"type": "lora_plus", "learning_rate_ratio": 4.0, "quantization": "none"},
            {"type": "pissa", "rank": 8, "num_iterations": 4},
            {"type": "prompt_tuning", "num_virtual_tokens": 8, "init_text": "Answer:", "quantization": "none"},
            {"type": "full"},
        ],
    )
    def test_every_method_is_planned_and_echoed_as_asked(self, create: Create, adapter: dict[str, Any]) -> None:
        job = create(adapter=adapter)
        assert job["status"] == "queued"
        assert {name: job["adapter"][name] for name in adapter} == adapter

    def test_every_number_of_the_loop_is_taken_and_echoed(self, create: Create) -> None:
        numbers = {
            "learning_rate": 3e-4,
            "schedule": "linear",
            "warmup_ratio": 0.1,
            "weight_decay": 0.01,
            "max_grad_norm": 0.5,
            "optimizer": "adamw",
            "max_length_tokens": 512,
            "max_seen_tokens": 4000,
            "eval_every_steps": 5,
            "max_heldout_rows": 7,
            "early_stopping_patience": 2,
        }
        job = create(training=numbers)
        assert job["training"] == numbers
        assert (job["learning_rate"], job["max_length_tokens"]) == (3e-4, 512)

    def test_an_estimate_takes_them_too(self, client: TestClient, as_member: Headers, version: DatasetVersion) -> None:
        body = {
            "dataset_version_id": version.id,
            "recipe": "balanced",
            "adapter": {"type": "lora", "rank": 4},
            "training": {"max_length_tokens": 256},
            "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
        }
        answer = client.post("/v1/fine_tuning/estimates", headers=as_member, json=body)
        [found] = answer.json()["estimates"]
        planned = found["hyperparameters"]
        assert (planned["n_epochs"], planned["method"], planned["rank"]) == (2, "lora", 4)
        assert planned["max_length_tokens"] == 256


class TestClone:
    def test_a_change_of_method_takes_along_what_still_fits(
        self, client: TestClient, as_member: Headers, create: Create, version_of: MakeVersion
    ) -> None:
        original = create(
            dataset_version_id=version_of(RowKind.PREFERENCE).id,
            method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.3, "label_smoothing": 0.1}}},
            adapter={"type": "lora_plus", "rank": 8, "learning_rate_ratio": 4.0},
            training={"schedule": "constant"},
        )
        changes = {"method": {"type": "orpo"}, "adapter": {"type": "lora"}}
        made = client.post(f"{JOBS}/{original['id']}/clone", headers=as_member, json=changes).json()
        found = made["method"]["orpo"]["hyperparameters"]
        assert (found["n_epochs"], found["beta"], "label_smoothing" in found) == (2, 0.3, False)
        assert (made["adapter"]["type"], made["adapter"]["rank"]) == ("lora", 8)
        assert made["adapter"]["learning_rate_ratio"] is None
        assert made["training"]["schedule"] == "constant"

    def test_null_takes_all_of_a_group_back(self, client: TestClient, as_member: Headers, create: Create) -> None:
        plain = create()
        original = create(adapter={"type": "dora", "rank": 64}, training={"schedule": "constant", "weight_decay": 0.5})
        changes = {"adapter": None, "training": None, "seed": plain["seed"]}
        made = client.post(f"{JOBS}/{original['id']}/clone", headers=as_member, json=changes).json()
        assert (made["adapter"], made["training"]) == (plain["adapter"], plain["training"])
