"""Which runtime answers for which base model, as an admin and Prometheus are told."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from api.monitoring.model_server_metrics import ModelServersCollector
from core.errors import Unavailable
from core.inference.types import AdapterUse, Residence, RuntimeHealth, ServedBase
from core.monitoring.model_servers import ModelServers

SERVED = (
    ServedBase(
        base_model="smollm2-135m-instruct",
        runtime="tailorbird",
        status="ready",
        active=2,
        adapters=AdapterUse(hits=90, misses=10, evictions=4, fetch_s=2.5, load_s=1.5, num_bytes=7_000),
        residence=Residence(is_pinned=True, num_bytes=800_000, num_loads=3, num_evictions=2, num_refused=5, load_s=6.0),
    ),
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
        tell(client, RuntimeHealth(status="ready", served=SERVED, base_budget_bytes=9_000_000))
        told = client.get("/v1/admin/model_servers", headers=as_operator).json()
        assert (told["object"], told["status"], told["problem"]) == ("list", "ready", None)
        ours, vllm = told["data"]
        assert (ours["base_model"], ours["runtime"], ours["num_active"]) == ("smollm2-135m-instruct", "tailorbird", 2)
        assert told["max_base_bytes"] == 9_000_000
        assert (ours["residence"]["is_pinned"], ours["residence"]["num_bytes"]) == (True, 800_000)
        assert ours["adapters"] == {
            "num_hits": 90,
            "num_misses": 10,
            "num_evictions": 4,
            "fetch_s": 2.5,
            "load_s": 1.5,
            "num_bytes": 7_000,
        }
        assert (vllm["residence"], vllm["adapters"]["num_bytes"]) == (None, None)
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


def samples(found: ModelServers) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(ModelServersCollector(found))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (one.name, *(one.labels[label] for label in ("runtime", "result", "stage") if label in one.labels)): one.value
        for family in families
        for one in family.samples
    }


def test_the_figures_are_those_of_each_base() -> None:
    told = samples(ModelServers(status="ready", problem=None, served=SERVED))
    assert told[("tailorbird_model_servers_up",)] == 1
    assert told["tailorbird_model_server_up", "tailorbird"] == 1
    assert told["tailorbird_model_server_up", "vllm"] == 0
    assert told["tailorbird_model_server_active", "tailorbird"] == 2
    assert told["tailorbird_model_server_adapters", "vllm"] == 5
    assert told["tailorbird_model_server_restarts_total", "vllm"] == 2


def test_memory_and_tuned_models_are_told_by_base_and_not_one_by_one() -> None:
    told = samples(ModelServers(status="ready", problem=None, served=SERVED, base_budget_bytes=9_000_000))
    name, ours = "tailorbird_model_server", "tailorbird"
    assert told[("tailorbird_model_servers_base_budget_bytes",)] == 9_000_000
    assert told[f"{name}_memory_bytes", ours] == 800_000
    assert told[f"{name}_pinned", ours] == 1
    assert (told[f"{name}_loads_total", ours], told[f"{name}_evictions_total", ours]) == (3, 2)
    assert told[f"{name}_refused_total", ours] == 5
    assert told[f"{name}_load_seconds_total", ours] == 6
    assert (told[f"{name}_adapter_bytes", ours], told[f"{name}_adapter_evictions_total", ours]) == (7_000, 4)
    assert told[f"{name}_adapter_lookups_total", ours, "hit"] == 90
    assert told[f"{name}_adapter_lookups_total", ours, "miss"] == 10
    assert told[f"{name}_adapter_load_seconds_total", ours, "fetch"] == 2.5
    assert told[f"{name}_adapter_load_seconds_total", ours, "load"] == 1.5
    evicted = ServedBase(base_model="qwen3-4b", runtime="tailorbird", status="evicted")
    assert samples(ModelServers(status="ready", problem=None, served=(evicted,)))[f"{name}_up", ours] == 1
    # vLLM has a process for each of its bases, and none of them is ever evicted
    assert (f"{name}_memory_bytes", "vllm") not in told


def test_a_runtime_that_does_not_answer_is_down_and_nothing_else() -> None:
    told = samples(ModelServers(status="unreachable", problem="It is not running."))
    assert told == {("tailorbird_model_servers_up",): 0}
