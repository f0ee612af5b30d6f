"""Which runtime answers for which base model, as an admin and Prometheus are told."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.monitoring.exposition import ModelServersCollector
from core.errors import Unavailable
from core.inference.types import RuntimeHealth, ServedBase
from core.monitoring.model_servers import ModelServers

SERVED = (
    ServedBase(base_model="smollm2-135m-instruct", runtime="tailorbird", status="ready", active=2),
    ServedBase(
        base_model="qwen3-8b",
        runtime="vllm",
        status="restarting",
        waiting=3,
        num_adapters=5,
        num_restarts=2,
        version="0.32.0",
        is_isolated=True,
        problem="vLLM ended (exit -9): it said nothing.",
    ),
)


class Inference:
    """A runtime as the api's client tells of it."""

    def __init__(self, found: RuntimeHealth | Unavailable) -> None:
        self._found = found

    def health(self) -> RuntimeHealth:
        if isinstance(self._found, Unavailable):
            raise self._found
        return self._found

    def close(self) -> None:
        pass


def tell(client: TestClient, found: RuntimeHealth | Unavailable) -> None:
    app = client.app
    assert isinstance(app, FastAPI)
    app.state.inference = Inference(found)


@pytest.mark.stack
class TestModelServers:
    def test_an_admin_sees_what_answers_for_what(self, client: TestClient, as_operator: dict[str, str]) -> None:
        tell(client, RuntimeHealth(status="ready", served=SERVED))
        told = client.get("/v1/admin/model_servers", headers=as_operator).json()
        assert (told["object"], told["status"], told["problem"]) == ("list", "ready", None)
        ours, vllm = told["data"]
        assert (ours["base_model"], ours["runtime"], ours["num_active"]) == ("smollm2-135m-instruct", "tailorbird", 2)
        assert (ours["version"], ours["is_isolated"]) == (None, None)
        assert (vllm["runtime"], vllm["status"], vllm["version"]) == ("vllm", "restarting", "0.32.0")
        assert (vllm["num_waiting"], vllm["num_adapters"], vllm["num_restarts"]) == (3, 5, 2)
        assert vllm["problem"] == "vLLM ended (exit -9): it said nothing."

    def test_one_that_does_not_answer_is_told_as_that(self, client: TestClient, as_operator: dict[str, str]) -> None:
        tell(client, Unavailable("The model server is starting or not running.", code="inference_unavailable"))
        answer = client.get("/v1/admin/model_servers", headers=as_operator)
        assert (answer.status_code, answer.json()["status"], answer.json()["data"]) == (200, "unreachable", [])
        assert "not running" in answer.json()["problem"]

    def test_it_is_for_who_runs_the_installation(self, client: TestClient, as_admin: dict[str, str]) -> None:
        assert client.get("/v1/admin/model_servers").status_code == 401
        assert client.get("/v1/admin/model_servers", headers=as_admin).status_code == 403

    def test_prometheus_reads_it_with_the_rest(self, client: TestClient, as_operator: dict[str, str]) -> None:
        tell(client, RuntimeHealth(status="ready", served=SERVED))
        text = client.get("/metrics", headers=as_operator).text
        assert 'tailorbird_model_server_waiting{base_model="qwen3-8b",runtime="vllm"} 3.0' in text


def samples(found: ModelServers) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    registry.register(ModelServersCollector(found))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(one.name, one.labels.get("runtime", "")): one.value for family in families for one in family.samples}


def test_the_figures_are_those_of_each_base() -> None:
    told = samples(ModelServers(status="ready", problem=None, served=SERVED))
    assert told["tailorbird_model_servers_up", ""] == 1
    assert told["tailorbird_model_server_up", "tailorbird"] == 1
    assert told["tailorbird_model_server_up", "vllm"] == 0
    assert told["tailorbird_model_server_active", "tailorbird"] == 2
    assert told["tailorbird_model_server_adapters", "vllm"] == 5
    assert told["tailorbird_model_server_restarts_total", "vllm"] == 2


def test_a_runtime_that_does_not_answer_is_down_and_nothing_else() -> None:
    told = samples(ModelServers(status="unreachable", problem="It is not running."))
    assert told == {("tailorbird_model_servers_up", ""): 0}
