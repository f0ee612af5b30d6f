"""What cannot be done, or makes no sense, is refused with the name of the field, and nothing reaches the runtime."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from core.db.session import Database
from core.errors import Invalid, RateLimited
from tests.api.chat.conftest import HELLO, Ask, Headers, ledger
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

CALL = {"id": "call_1", "type": "function", "function": {"name": "find_tide", "arguments": '{"port": "Ostend"}'}}
TEXT: dict[str, Any] = {"type": "text", "text": "Hello"}


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found}
    return found


class TestRefusal:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0.type"),
            ({"functions": [{"name": "f"}]}, "functions"),
            ({"function_call": {"name": "f"}}, "function_call"),
            ({"audio": {"voice": "ash", "format": "wav"}}, "audio"),
            ({"moderation": {"model": "m"}}, "moderation"),
            ({"web_search_options": {}}, "web_search_options"),
            ({"modalities": ["audio"]}, "modalities"),
            ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.role"),
            ({"messages": [{"role": "user", "content": "x", "weight": 1}]}, "messages.0.weight"),
            ({"messages": [{"role": "assistant", "content": "x", "refusal": "No."}]}, "messages.0.refusal"),
            ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages.0.audio"),
            ({"messages": [{"role": "user", "content": "x", "tool_calls": [CALL]}]}, "messages.0.tool_calls"),
            (
                {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cut": 1}]}]},
                "messages.0.content.cut",
            ),
            (
                {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
                "messages.0.content",
            ),
        ],
    )
    def test_what_would_change_the_answer_is_refused_by_name(
        self, ask: Ask, inference: FakeInference, body: dict[str, Any], param: str
    ) -> None:
        for stream in (False, True):
            answer = ask(**body, stream=stream)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", param)
        assert inference.requests == []

    @pytest.mark.parametrize(
        "body",
        [
            {"user": "u", "store": True, "metadata": {"a": "b"}, "service_tier": "auto", "safety_identifier": "s"},
            {"presence_penalty": 0, "logprobs": False, "response_format": {"type": "text"}, "tool_choice": "none"},
            {"reasoning_effort": "low", "verbosity": "low", "parallel_tool_calls": True, "tools": []},
            {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "implicit"}, "prompt_cache_retention": "24h"},
            {"prediction": {"type": "content", "content": "x"}, "modalities": ["text"], "stream_options": None},
            {"messages": [*HELLO, {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []}, *HELLO]},
            {"messages": [{"role": "user", "content": [TEXT | {"prompt_cache_breakpoint": {"mode": "explicit"}}]}]},
        ],
    )
    def test_what_changes_nothing_is_accepted(self, ask: Ask, body: dict[str, Any]) -> None:
        assert ask(**body).status_code == 200

    @pytest.mark.parametrize(
        "body",
        [
            {"temperature": 3},
            {"messages": []},
            {"max_tokens": 0},
            {"n": 9},
            {"stop": [""]},
            {"stop": list("abcde")},
            {"top_k": 5},
            {"n": 0},
            {"n": 10**30},
            {"n": "two"},
            {"model": 7},
            {"messages": "Hello"},
            {"messages": [{"role": "user"}]},
            {"messages": [{"role": "user", "content": 7}]},
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "4.2 metres"}]},
            {"seed": 2**63},
            {"presence_penalty": 2.1},
            {"frequency_penalty": -2.1},
            {"logit_bias": {"hello": 1}},
            {"logit_bias": {"-1": 1}},
            {"logit_bias": {"5": 101}},
            {"logprobs": True, "top_logprobs": 21},
            {"top_logprobs": 2},
            {"max_tokens": 5, "max_completion_tokens": 6},
            {"stream_options": {"include_usage": True}},
            {"stream": True, "stream_options": {"include_everything": True}},
            {"service_tier": "golden"},
            {"metadata": {"a" * 65: "b"}},
            {"metadata": {"a": "b" * 513}},
            {"metadata": {str(number): "b" for number in range(17)}},
            {"tools": [{"type": "function", "function": {"name": "not a name"}}]},
            {"tools": [{"type": "function", "function": {"name": "f"}}] * 2},
            {"tool_choice": "required"},
            {"tool_choice": {"type": "function"}},
            {"response_format": {"type": "grammar"}},
            {"response_format": {"type": "json_schema"}},
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "not a name", "schema": {}}}},
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": nested(150)}}]},
        ],
    )
    def test_values_out_of_range_are_refused(self, ask: Ask, inference: FakeInference, body: dict[str, Any]) -> None:
        answer = ask(**body)
        assert answer.status_code == 400, answer.text
        assert set(answer.json()["error"]) >= {"message", "type", "param", "code"}
        assert inference.requests == []

    @pytest.mark.parametrize(
        "text",
        [
            '"messages": [{"role": "user", "content": "\\ud800"}]',
            '"messages": [{"role": "user", "content": [{"type": "text", "text": "\\ud800"}]}]',
            '"messages": [{"role": "user", "name": "\\udfff", "content": "a"}]',
            '"messages": [{"role": "user", "content": "a"}], "stop": "\\ud800"',
            '"messages": [{"role": "user", "content": "a"}], "stop": ["a", "\\ud800"]',
        ],
    )
    def test_half_a_surrogate_pair_is_refused_wherever_it_stands(
        self, client: TestClient, as_reviewer: Headers, model: str, text: str
    ) -> None:
        headers = as_reviewer | {"content-type": "application/json"}
        answer = client.post("/v1/chat/completions", headers=headers, content=f'{{"model": "{model}", {text}}}')
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unstorable_value")

    def test_a_viewer_is_not_answered(self, client: TestClient, as_viewer: Headers, model: str) -> None:
        answer = client.post("/v1/chat/completions", headers=as_viewer, json={"model": model, "messages": HELLO})
        assert answer.status_code == 403

    def test_a_full_runtime_says_when_to_come_back(self, ask: Ask, inference: FakeInference) -> None:
        inference.error = RateLimited("Too many.", code="inference_queue_full", details={"retry_after_s": 3})
        for stream in (False, True):
            answer = ask(stream=stream)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("rate_limit_error", "inference_queue_full")

    def test_an_unknown_model_is_not_found(self, ask: Ask) -> None:
        answer = ask(model="gpt-99")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")

    def test_without_a_key_nobody_is_answered(self, client: TestClient, model: str) -> None:
        assert client.post("/v1/chat/completions", json={"model": model, "messages": HELLO}).status_code == 401

    def test_the_runtimes_refusal_is_the_answer(self, ask: Ask, inference: FakeInference, database: Database) -> None:
        inference.error = Invalid("The prompt is too long.", code="context_length_exceeded", param="messages")
        for stream in (False, True):
            answer = ask(stream=stream)
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert ledger(database) == []
