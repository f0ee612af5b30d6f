import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from anyio import Event, fail_after
from anyio.lowlevel import checkpoint
from fastapi.testclient import TestClient
from httpx import Response

from api.chat.completion import Conversation, begin_stream
from api.chat.schemas import ChatBody
from api.streaming import EventStream
from core.db.session import SYSTEM, Database
from core.errors import Invalid, Unavailable
from core.serving.service import Target
from core.usage.models import LedgerEntry
from core.workspaces.principal import Principal
from tests.factories.inference import WORDS, FakeInference

pytestmark = pytest.mark.stack

Headers = dict[str, str]
Ask = Callable[..., Response]
HELLO = [{"role": "user", "content": "Hello"}]


def ledger(database: Database) -> list[LedgerEntry]:
    with database.session(SYSTEM) as session:
        return list(session.query(LedgerEntry))


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@pytest.fixture
def ask(client: TestClient, as_viewer: Headers, model: str) -> Ask:
    def _ask(**body: object) -> Response:
        return client.post("/v1/chat/completions", headers=as_viewer, json={"model": model, "messages": HELLO} | body)

    return _ask


class TestWhole:
    @pytest.mark.parametrize("stop", ['"\\ud800"', '["a", "\\ud800"]'])
    def test_half_a_surrogate_pair_to_stop_at_is_refused(
        self, client: TestClient, as_viewer: Headers, model: str, stop: str
    ) -> None:
        body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hi"}}], "stop": {stop}}}'
        headers = as_viewer | {"content-type": "application/json"}
        answer = client.post("/v1/chat/completions", headers=headers, content=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unstorable_value")

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
        assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
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
        assert [request.sampling.seed for request in inference.requests] == [5, 6, 7]
        assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}

    def test_parts_and_developer_messages_are_read(self, ask: Ask, inference: FakeInference) -> None:
        parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
        ask(messages=[{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}])
        assert [(message.role, message.content) for message in inference.requests[0].messages] == [
            ("system", "Be kind."),
            ("user", "one two"),
        ]


class TestRefusal:
    @pytest.mark.parametrize(
        ("body", "param"),
        [
            ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
            ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
            ({"logprobs": True}, "logprobs"),
            ({"frequency_penalty": 0.5}, "frequency_penalty"),
            ({"logit_bias": {"5": 1}}, "logit_bias"),
            ({"tool_choice": {"type": "function"}}, "tool_choice"),
            ({"modalities": ["audio"]}, "modalities"),
            ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
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
        ],
    )
    def test_values_out_of_range_are_refused(self, ask: Ask, body: dict[str, Any]) -> None:
        assert ask(**body).status_code == 400

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


class TestStream:
    def test_the_first_piece_has_the_role_and_the_last_line_is_done(
        self, ask: Ask, database: Database, model: str
    ) -> None:
        answer = ask(stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream")
        *chunks, done = events(answer.text)
        assert done == "[DONE]"
        assert {(chunk["object"], chunk["model"], chunk["id"]) for chunk in chunks} == {
            ("chat.completion.chunk", model, chunks[0]["id"])
        }
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
        assert [delta["content"] for delta in deltas[1:-1]] == list(WORDS)
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert "usage" not in chunks[-1]
        (entry,) = ledger(database)
        assert (entry.source_id, entry.tokens) == (chunks[0]["id"], 10)

    def test_usage_comes_last_if_it_is_asked_for(self, ask: Ask) -> None:
        chunks = events(ask(stream=True, stream_options={"include_usage": True}).text)
        assert chunks[-2]["choices"] == []
        assert chunks[-2]["usage"] == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        assert {chunk["usage"] for chunk in chunks[:-2]} == {None}

    def test_a_failure_in_the_middle_is_an_event_and_what_was_said_is_paid(
        self, ask: Ask, inference: FakeInference, database: Database
    ) -> None:
        inference.error, inference.error_after = Unavailable("The model server stopped.", code="inference_cut_off"), 2
        answer = ask(stream=True)
        assert answer.status_code == 200
        broken = events(answer.text)[-2]
        assert broken["error"]["code"] == "inference_cut_off"
        assert set(broken["error"]) >= {"message", "type", "param", "code"}
        (entry,) = ledger(database)
        assert entry.tokens == 2

    def test_several_answers_follow_one_another(self, ask: Ask) -> None:
        chunks = [chunk for chunk in events(ask(stream=True, n=2).text) if chunk != "[DONE]"]
        indexes = [chunk["choices"][0]["index"] for chunk in chunks]
        assert indexes == [0] * 5 + [1] * 5


class TestALostClient:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.mark.anyio
    async def test_the_generation_is_stopped_and_paid(
        self, database: Database, principal: Principal, model: str, inference: FakeInference
    ) -> None:
        inference.is_endless = True
        conversation = Conversation(
            body=ChatBody.model_validate({"model": model, "messages": HELLO, "stream": True}),
            target=Target(model_id=model, base_model=model, adapter=None, quantization=None),
            principal=principal,
            database=database,
            inference=inference,  # type: ignore[arg-type] # has what is used of it
        )
        source = await begin_stream(conversation)
        await abandon(source, after_lines=10)
        assert inference.num_closed == 1
        (entry,) = ledger(database)
        assert 0 < entry.tokens <= 10
        assert entry.seconds > 0


async def abandon(source: AsyncGenerator[str, None], *, after_lines: int) -> None:
    """Serve the stream to a client that goes away in the middle, as an ASGI server does."""
    num_sent = 0
    is_gone = Event()

    async def send(message: object) -> None:
        nonlocal num_sent
        num_sent += 1
        if num_sent == after_lines:
            is_gone.set()
        await checkpoint()

    async def receive() -> dict[str, str]:
        await is_gone.wait()
        return {"type": "http.disconnect"}

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    with fail_after(10):
        await EventStream(source)(scope, receive, send)
