"""Answers by model: what is counted, and that names cannot make series without end."""

from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from api.chat.metrics import MAX_MODELS, AnsweredChat, ChatMetrics
from core.base_models.service import default_base_model
from core.config import Settings
from core.errors import Unavailable
from tests.factories.inference import FakeInference
from tests.factories.training import put_base_model_on_disk

ANSWER = AnsweredChat(
    model="ft:one",
    alias="support",
    outcome="stop",
    completion_tokens=5,
    waiting_s=0.3,
    first_token_s=0.7,
    next_token_s=0.04,
)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"tailorbird_chat_{name}", labels)


def test_an_answer_is_counted_with_its_tokens_and_its_waits(registry: CollectorRegistry) -> None:
    metrics, of = ChatMetrics(registry), {"model": "ft:one", "alias": "support"}
    metrics.note_prompt(model="ft:one", alias="support", num_tokens=20, num_recalled=16)
    metrics.note(ANSWER)
    metrics.note(replace(ANSWER, outcome="unfinished", completion_tokens=0, first_token_s=None, next_token_s=None))
    assert value(registry, "answers_total", **of, outcome="stop") == 1
    assert value(registry, "answers_total", **of, outcome="unfinished") == 1
    tokens = [value(registry, "tokens_total", **of, kind=kind) for kind in ("read", "recalled", "written")]
    assert tokens == [4, 16, 5]
    for name, seconds, count in (("waiting", 0.6, 2), ("first_token", 0.7, 1), ("next_token", 0.04, 1)):
        assert value(registry, f"{name}_seconds_sum", **of) == pytest.approx(seconds)
        assert value(registry, f"{name}_seconds_count", **of) == count


def test_models_beyond_the_most_share_a_series(registry: CollectorRegistry) -> None:
    metrics = ChatMetrics(registry)
    for number in range(MAX_MODELS + 50):
        metrics.note(replace(ANSWER, model=f"ft:{number}", alias=""))
    assert value(registry, "answers_total", model="other", alias="", outcome="stop") == 50
    assert value(registry, "answers_total", model=f"ft:{MAX_MODELS - 1}", alias="", outcome="stop") == 1
    # who was known before stays known
    metrics.note(replace(ANSWER, model="ft:0", alias=""))
    assert value(registry, "answers_total", model="ft:0", alias="", outcome="stop") == 2


@pytest.mark.stack
class TestThroughTheApi:
    @pytest.fixture
    def inference(self) -> FakeInference:
        return FakeInference()

    @pytest.mark.parametrize("stream", [False, True])
    def test_questions_are_counted_by_model(
        self,
        client: TestClient,
        app: FastAPI,
        settings: Settings,
        as_member: dict[str, str],
        inference: FakeInference,
        stream: object,
    ) -> None:
        put_base_model_on_disk(settings)
        model = default_base_model().id
        asked = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        assert client.post("/v1/chat/completions", headers=as_member, json=asked).status_code == 200
        inference.error, inference.error_after = Unavailable("Away.", code="inference_unavailable"), 1
        client.post("/v1/chat/completions", headers=as_member, json=asked)
        registry, of = app.state.http_metrics.registry, {"model": model, "alias": ""}
        assert value(registry, "answers_total", **of, outcome="stop") == 1
        assert value(registry, "answers_total", **of, outcome="unfinished") == 1
        # seven of a prompt, for each of the two questions
        tokens = [value(registry, "tokens_total", **of, kind=kind) or 0 for kind in ("read", "recalled")]
        assert sum(tokens) == 14
        assert (value(registry, "first_token_seconds_sum", **of) or -1) > 0
