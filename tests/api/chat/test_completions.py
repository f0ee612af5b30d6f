import time
from typing import Any

import openai
import pytest
from openai import OpenAI

from core.db.session import Database
from core.errors import RateLimited
from core.inference.types import ChatDelta, TokenLogprob, ToolCall, TopLogprob
from tests.api.chat.conftest import HELLO, Ask, ledger, usage
from tests.factories.inference import FINGERPRINT, FakeInference

pytestmark = pytest.mark.stack

LOGPROBS = [
    ChatDelta(
        text="Hé",
        logprobs=(
            TokenLogprob(token="H", bytes=(72,), logprob=-0.5, top_logprobs=()),
            TokenLogprob(
                token="é",
                bytes=(195, 169),
                logprob=-1.25,
                top_logprobs=(
                    TopLogprob(token="a", bytes=(97,), logprob=-0.25),
                    TopLogprob(token="<|im_end|>", bytes=None, logprob=-9999.0),
                ),
            ),
        ),
    )
]
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "find_tide",
            "description": "Height of the tide.",
            "parameters": {"type": "object", "properties": {"port": {"type": "string"}}},
        },
    }
]
CALLS = (
    ToolCall(id="call_1", name="find_tide", arguments='{"port": "Ostend"}'),
    ToolCall(id="call_2", name="find_tide", arguments='{"port": "Oban"}'),
)


class TestWhole:
    def test_the_answer_has_the_shape_of_the_wire_and_is_paid(self, ask: Ask, database: Database, model: str) -> None:
        answer = ask().json()
        assert answer["id"].startswith("chatcmpl-")
        assert (answer["object"], answer["model"]) == ("chat.completion", model)
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there!", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ]
        assert answer["usage"] == usage(3)
        assert answer["system_fingerprint"] == FINGERPRINT
        assert "service_tier" not in answer
        (entry,) = ledger(database)
        assert (entry.kind, entry.source_id, entry.tokens, entry.seconds) == ("inference", answer["id"], 10, 2.0)

    def test_sampling_reaches_the_runtime(self, ask: Ask, inference: FakeInference) -> None:
        ask(temperature=0, top_p=0.5, max_completion_tokens=9, stop=["a", "b"], seed=3)
        sampling = inference.requests[0].sampling
        assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0, 0.5, 9)
        assert (sampling.stop, sampling.seed) == (("a", "b"), 3)

    def test_several_answers_differ_by_seed_and_share_the_prompt(self, ask: Ask, inference: FakeInference) -> None:
        answer = ask(n=3, seed=5).json()
        assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
        assert sorted(request.sampling.seed or 0 for request in inference.requests) == [5, 6, 7]
        assert answer["usage"] == usage(9)

    def test_parts_and_developer_messages_are_read(self, ask: Ask, inference: FakeInference) -> None:
        parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
        ask(messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}])
        assert [(message.role, message.content) for message in inference.requests[0].messages] == [
            ("system", "Be kind."),
            ("user", "one two"),
        ]

    def test_penalties_and_biases_reach_the_runtime(self, ask: Ask, inference: FakeInference) -> None:
        ask(presence_penalty=1.5, frequency_penalty=-0.5, logit_bias={"5": -100, "7": 2.5})
        sampling = inference.requests[0].sampling
        assert (sampling.presence_penalty, sampling.frequency_penalty) == (1.5, -0.5)
        assert sampling.logit_bias == {5: -100, 7: 2.5}

    def test_the_tier_is_told_to_who_asks_for_one(self, ask: Ask) -> None:
        assert ask(service_tier="flex").json()["service_tier"] == "default"

    def test_the_workspace_is_told_to_the_runtime(self, ask: Ask, inference: FakeInference, workspace_id: str) -> None:
        ask()
        assert inference.requests[0].workspace_id == workspace_id

    def test_a_history_of_calls_reaches_the_runtime(self, ask: Ask, inference: FakeInference) -> None:
        call = {"id": "call_1", "type": "function", "function": {"name": "find_tide", "arguments": "{}"}}
        ask(
            messages=[
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "4.2 metres"},
            ],
            tools=TOOLS,
        )
        _, assistant, tool = inference.requests[0].messages
        assert assistant.tool_calls == (ToolCall(id="call_1", name="find_tide", arguments="{}"),)
        assert (tool.role, tool.tool_call_id, tool.content) == ("tool", "call_1", "4.2 metres")

    def test_tools_that_must_not_be_called_are_not_shown(self, ask: Ask, inference: FakeInference) -> None:
        ask(tools=TOOLS)
        ask(tools=TOOLS, tool_choice="none")
        ask(tools=TOOLS, parallel_tool_calls=False)
        assert [len(request.tools) for request in inference.requests] == [1, 0, 1]
        assert [request.may_call_several for request in inference.requests] == [True, True, False]


class TestByTheOfficialClient:
    def test_log_probabilities_have_their_shapes(self, ai: OpenAI, model: str, inference: FakeInference) -> None:
        inference.pieces = LOGPROBS
        answer = ai.chat.completions.create(model=model, messages=HELLO, logprobs=True, top_logprobs=2)
        assert inference.requests[0].sampling.top_logprobs == 2
        logprobs = answer.choices[0].logprobs
        assert logprobs is not None
        assert logprobs.refusal is None
        first, second = logprobs.content or []
        assert (first.token, first.bytes, first.logprob, first.top_logprobs) == ("H", [72], -0.5, [])
        assert (second.token, second.bytes) == ("é", [195, 169])
        assert [(top.token, top.bytes, top.logprob) for top in second.top_logprobs] == [
            ("a", [97], -0.25),
            ("<|im_end|>", None, -9999.0),
        ]

    def test_log_probabilities_stream_beside_their_text(self, ai: OpenAI, model: str, inference: FakeInference) -> None:
        inference.pieces = LOGPROBS
        stream = ai.chat.completions.create(model=model, messages=HELLO, logprobs=True, top_logprobs=2, stream=True)
        (told,) = [chunk.choices[0] for chunk in stream if chunk.choices[0].logprobs]
        assert told.delta.content == "Hé"
        assert told.logprobs
        assert [entry.token for entry in told.logprobs.content or []] == ["H", "é"]

    def test_calls_of_tools_come_whole(self, ai: OpenAI, model: str, inference: FakeInference) -> None:
        inference.pieces, inference.finish_reason = [ChatDelta(tool_calls=CALLS)], "tool_calls"
        answer = ai.chat.completions.create(model=model, messages=HELLO, tools=TOOLS).choices[0]
        assert (answer.finish_reason, answer.message.content) == ("tool_calls", None)
        told = [
            (call.id, call.type, call.function) for call in answer.message.tool_calls or [] if call.type == "function"
        ]
        assert [(call_id, function.name, function.arguments) for call_id, _, function in told] == [
            ("call_1", "find_tide", '{"port": "Ostend"}'),
            ("call_2", "find_tide", '{"port": "Oban"}'),
        ]

    def test_streamed_calls_are_put_together_by_the_clients_own_helper(
        self, ai: OpenAI, model: str, inference: FakeInference
    ) -> None:
        inference.pieces, inference.finish_reason = [ChatDelta(text="Wait."), ChatDelta(tool_calls=CALLS)], "tool_calls"
        with ai.chat.completions.stream(model=model, messages=HELLO, tools=TOOLS) as stream:
            final = stream.get_final_completion().choices[0]
        assert (final.finish_reason, final.message.content) == ("tool_calls", "Wait.")
        assert [call.function.arguments for call in final.message.tool_calls or []] == [
            call.arguments for call in CALLS
        ]

    def test_a_client_that_hangs_up_on_a_whole_answer_frees_its_place(
        self, ai: OpenAI, model: str, inference: FakeInference
    ) -> None:
        inference.stalls_after = 1
        with pytest.raises(openai.APITimeoutError):
            ai.chat.completions.create(model=model, messages=HELLO, timeout=0.5)
        deadline = time.monotonic() + 10
        while not inference.num_closed:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        inference.stalls_after = None
        assert ai.chat.completions.create(model=model, messages=HELLO).choices[0].message.content == "Hello there!"

    def test_one_answer_that_fails_ends_its_siblings(self, ai: OpenAI, model: str, inference: FakeInference) -> None:
        inference.error, inference.error_after = RateLimited("Too many.", code="too_many_chats"), 2
        with pytest.raises(openai.RateLimitError) as refused:
            ai.chat.completions.create(model=model, messages=HELLO, n=4)
        assert refused.value.code == "too_many_chats"
        assert inference.num_closed == 4
