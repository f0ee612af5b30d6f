from collections.abc import AsyncGenerator

import openai
import pytest
from anyio import Event, fail_after
from anyio.lowlevel import checkpoint
from openai import OpenAI
from prometheus_client import CollectorRegistry

from api.chat.completion import Conversation
from api.chat.metrics import ChatMetrics
from api.chat.requests import ChatBody
from api.chat.stream import begin_stream
from api.chat.token_limit import TokenAllowance
from api.streaming import COMMENT_HEARTBEAT, EventStream
from core.backends.limits import NullRateLimiter
from core.db.session import Database
from core.errors import Unavailable
from core.inference.types import ChatDelta
from core.serving.aliases.shadows import Shadows
from core.serving.completions.keeper import CompletionKeeper
from core.serving.routing import Route, Voice
from core.serving.service import Target
from core.workspaces.principal import Principal
from tests.api.chat.conftest import HELLO, Ask, events, ledger, usage
from tests.factories.completions import open_gate
from tests.factories.inference import FINGERPRINT, WORDS, FakeInference

pytestmark = pytest.mark.stack


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
        assert {chunk["system_fingerprint"] for chunk in chunks} == {FINGERPRINT}
        (entry,) = ledger(database)
        assert (entry.source_id, entry.tokens) == (chunks[0]["id"], 10)

    def test_usage_comes_last_if_it_is_asked_for(self, ask: Ask) -> None:
        chunks = events(ask(stream=True, stream_options={"include_usage": True}).text)
        assert chunks[-2]["choices"] == []
        assert chunks[-2]["usage"] == usage(3)
        assert {chunk["usage"] for chunk in chunks[:-2]} == {None}

    def test_chunks_are_filled_up_in_steps_if_that_is_asked_for(self, ask: Ask, inference: FakeInference) -> None:
        """So that their sizes do not tell the lengths of words to who listens on the line."""
        inference.pieces = [ChatDelta(text="a" * size) for size in range(1, 20)]
        lines = ask(stream=True, stream_options={"include_obfuscation": True}).text.splitlines()
        sizes = {len(line) for line in lines if '"content":"a' in line}
        assert len(sizes) <= 2
        assert len({size % 64 for size in sizes}) == 1
        assert "obfuscation" not in ask(stream=True).text

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
        assert entry.tokens == 7 + 2


def conversation_of(database: Database, principal: Principal, model: str, inference: FakeInference) -> Conversation:
    return Conversation(
        body=ChatBody.model_validate({"model": model, "messages": HELLO, "stream": True}),
        route=Route(
            asked=model, voice=Voice(Target(model_id=model, base_model=model, adapter=None, quantization=None))
        ),
        principal=principal,
        database=database,
        inference=inference,  # type: ignore[arg-type] # has what is used of it
        keeper=CompletionKeeper(database, gate=open_gate),
        shadows=Shadows(database, gate=open_gate),
        metrics=ChatMetrics(CollectorRegistry()),
        allowance=TokenAllowance(NullRateLimiter(), "tokens", per_minute=0),
    )


class TestALostClient:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.mark.anyio
    async def test_the_generation_is_stopped_and_paid(
        self, database: Database, principal: Principal, model: str, inference: FakeInference
    ) -> None:
        inference.is_endless = True
        source = await begin_stream(conversation_of(database, principal, model, inference))
        await abandon(source, after_lines=10)
        assert inference.num_closed == 1
        (entry,) = ledger(database)
        assert 7 < entry.tokens <= 17
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


class TestSeveralAnswers:
    def test_they_come_side_by_side_each_with_its_role_and_its_end(
        self, ai: OpenAI, model: str, inference: FakeInference
    ) -> None:
        texts = ["", "", ""]
        ends: list[int] = []
        roles: list[int] = []
        for chunk in ai.chat.completions.create(
            model=model, messages=HELLO, n=3, stream=True, stream_options={"include_usage": True}
        ):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
                roles += [choice.index] if choice.delta.role else []
                ends += [choice.index] if choice.finish_reason else []
            if not chunk.choices:
                assert chunk.usage
                assert (chunk.usage.prompt_tokens, chunk.usage.completion_tokens) == (7, 9)
        assert texts == ["Hello there!"] * 3
        assert sorted(roles) == sorted(ends) == [0, 1, 2]

    def test_one_that_fails_ends_all_of_them(self, ai: OpenAI, model: str, inference: FakeInference) -> None:
        inference.error, inference.error_after = Unavailable("It stopped.", code="inference_cut_off"), 2
        with pytest.raises(openai.APIError, match="It stopped"):
            list(ai.chat.completions.create(model=model, messages=HELLO, n=3, stream=True))
        assert inference.num_closed == 3


class TestASlowModel:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.mark.anyio
    async def test_comments_keep_the_stream_open(
        self,
        database: Database,
        principal: Principal,
        model: str,
        inference: FakeInference,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("api.chat.completion._HEARTBEAT_S", 0.05)
        inference.stalls_after = 1
        source = await begin_stream(conversation_of(database, principal, model, inference))
        with fail_after(10):
            lines = [await anext(source) for _ in range(4)]
        await source.aclose()
        assert lines[2:] == [COMMENT_HEARTBEAT] * 2
        assert inference.num_closed == 1

    @pytest.mark.anyio
    async def test_a_stream_begins_before_the_first_word_when_that_takes_long(
        self,
        database: Database,
        principal: Principal,
        model: str,
        inference: FakeInference,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("api.chat.completion._HEARTBEAT_S", 0.05)
        inference.stalls_after = 0
        with fail_after(10):
            source = await begin_stream(conversation_of(database, principal, model, inference))
            assert await anext(source) == COMMENT_HEARTBEAT
        await source.aclose()
        assert ledger(database) == []
