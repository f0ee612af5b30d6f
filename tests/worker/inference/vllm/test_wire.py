"""Lines as vLLM 0.32.0 wrote them, and requests as it took them."""

import pytest

from core.errors import Unavailable
from core.inference.types import Sampling
from worker.inference.logprobs import Told
from worker.inference.vllm.wire import Asked, EngineRefused, Step, read_step

FIRST = (
    'data: {"id":"cmpl-a386","object":"text_completion","created":1795959431,"model":"base","choices":[{"index":0,'
    '"text":"L","logprobs":{"text_offset":[0],"token_logprobs":[-1.8314591646194458],"tokens":["token_id:60"],'
    '"top_logprobs":[{"token_id:60":-1.8314591646194458,"token_id:504":-1.9564591646194458}]},"finish_reason":null,'
    '"stop_reason":null,"prompt_token_ids":[1,9690,198],"token_ids":[60]}]}'
)
LAST = (
    'data: {"id":"cmpl-b496","object":"text_completion","created":1795959458,"model":"red","choices":[{"index":0,'
    '"text":"","logprobs":null,"finish_reason":"stop","stop_reason":null,"prompt_token_ids":null,"token_ids":[2]}]}'
)
USAGE = (
    'data: {"id":"cmpl-b496","object":"text_completion","created":1795959458,"model":"red","choices":[],'
    '"usage":{"prompt_tokens":37,"total_tokens":45,"completion_tokens":8},"system_fingerprint":"vllm-0.32.0-3573dfeb"}'
)
SURE = -1.8314591646194458


def test_a_line_is_tokens_and_what_was_thought_of_them() -> None:
    told = Told(chosen=SURE, top=[(60, SURE), (504, -1.9564591646194458)])
    assert read_step(FIRST) == Step(tokens=[(60, told)], finish_reason=None)
    assert read_step(LAST) == Step(tokens=[(2, Told(chosen=0.0))], finish_reason="stop")


@pytest.mark.parametrize("line", ["", ": ping", USAGE, "data: [DONE]"])
def test_lines_without_a_token_are_passed_over(line: str) -> None:
    assert read_step(line) is None


@pytest.mark.parametrize("line", ["data: {", "data: []", 'data: {"choices": [{"token_ids": 3}]}'])
def test_what_is_no_answer_is_not_taken_for_one(line: str) -> None:
    with pytest.raises(Unavailable) as caught:
        read_step(line)
    assert caught.value.error_code == "engine_refused"


def test_an_error_in_the_stream_is_one() -> None:
    with pytest.raises(EngineRefused) as caught:
        read_step('data: {"error":{"message":"EngineCore encountered an issue.","code":500}}')
    assert (caught.value.status, caught.value.said) == (500, "EngineCore encountered an issue.")
    assert "EngineCore" not in caught.value.message


def test_nothing_but_what_was_asked_for_decides_the_answer() -> None:
    """A model's folder may recommend a top_k of its own: our own runtime does not read it either."""
    body = Asked("base", (1, 2), Sampling(seed=-1, logit_bias={5: 2.0}), 7, (2, 3), "ws_1").body()
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert (body["prompt"], body["max_tokens"], body["stop_token_ids"]) == ([1, 2], 7, [2, 3])
    assert body["logit_bias"] == {"5": 2.0}
    assert 0 <= body["seed"] < 1 << 63
    assert body["cache_salt"] == "ws_1"
    assert "logprobs" not in body
    assert "structured_outputs" not in body


def test_how_an_answer_must_be_written_is_passed_on() -> None:
    asked = Asked("base", (1,), Sampling(top_logprobs=0), 1, (), grammar='start: "a"')
    assert asked.body()["structured_outputs"] == {"grammar": 'start: "a"'}
    assert asked.body()["logprobs"] == 0
