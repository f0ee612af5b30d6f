"""The real client, the real api and the real runtime in a process of its own, on a tiny random model."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletionChunk
from pydantic import BaseModel

from core.base_models.service import default_base_model
from core.config import Settings
from core.errors import Unavailable
from core.inference.client import InferenceClient
from core.stack import ports
from tests.api.chat.conftest import HELLO
from tests.factories.waiting import eventually

pytestmark = pytest.mark.stack

# the token that ends an answer of the tiny model; banned, its answers are as long as they may be
END_ID = "2"
LONG: dict[str, Any] = {"logit_bias": {END_ID: -100}, "max_tokens": 900, "temperature": 0.7}


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = InferenceClient(settings)
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "TAILORBIRD_HOME": str(self._settings.home),
            "TAILORBIRD_INFERENCE_URL": self._settings.inference_url,
            "TAILORBIRD_INFERENCE_TOKEN": self._settings.inference_token,
            "TAILORBIRD_MAX_CHATS_PER_WORKSPACE": str(self._settings.max_chats_per_workspace),
            "TAILORBIRD_NUM_CPU_THREADS": "1",
        }
        return subprocess.Popen([sys.executable, "-m", "worker.inference"], env=environment)

    def wait_until_ready(self, *, timeout_s: float = 60) -> None:
        eventually(self._is_ready, timeout_s=timeout_s)

    def _is_ready(self) -> bool:
        try:
            return self._client.health().status == "ready"
        except Unavailable:
            assert self.process.poll() is None, "the runtime ended"
            return False

    @property
    def num_active(self) -> int:
        health = self._client.health()
        return health.active + health.waiting

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def restart(self) -> None:
        self.process = self._started()
        self.wait_until_ready()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._client.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # slow imports
    from tests.worker.inference.tiny_models import make_home

    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def runtime(home: Path) -> Iterator[Runtime]:
    port = ports.choose(["runtime"], {})["runtime"]
    settings = Settings(
        home=home,
        inference_url=f"http://127.0.0.1:{port}",
        inference_token="a token for tests",
        max_chats_per_workspace=2,
    )
    runtime = Runtime(settings)
    runtime.wait_until_ready()
    yield runtime
    runtime.close()


@pytest.fixture
def settings(settings: Settings, runtime: Runtime) -> Settings:
    real = runtime._settings
    return settings.model_copy(
        update={
            "home": real.home,
            "inference_url": real.inference_url,
            "max_chats_per_workspace": real.max_chats_per_workspace,
        }
    )


@pytest.fixture
def inference() -> None:
    """None is given, so the api makes its own client."""


@pytest.fixture
def model() -> str:
    return default_base_model().id


def begun(ai: OpenAI, model: str) -> Stream[ChatCompletionChunk]:
    """A long answer of which some words are here."""
    stream = ai.chat.completions.create(model=model, messages=HELLO, stream=True, **LONG)
    for _ in range(3):
        next(stream)
    return stream


def test_log_probabilities_seeds_and_penalties_from_end_to_end(ai: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"temperature": 1.2, "seed": 7, "presence_penalty": 0.5, "max_tokens": 12}
    whole = ai.chat.completions.create(model=model, messages=HELLO, logprobs=True, top_logprobs=3, **asked)
    told = whole.choices[0].logprobs
    assert told is not None
    assert whole.choices[0].message.content == bytes(
        byte for entry in told.content or [] for byte in entry.bytes or []
    ).decode(errors="replace")
    assert whole.system_fingerprint
    again = list(ai.chat.completions.create(model=model, messages=HELLO, stream=True, **asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in again) == whole.choices[0].message.content
    assert {chunk.system_fingerprint for chunk in again} == {whole.system_fingerprint}


def test_two_answers_at_once_equal_two_alone(ai: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"temperature": 1.0, "max_tokens": 16, "frequency_penalty": 1.0}
    both = ai.chat.completions.create(model=model, messages=HELLO, n=2, seed=5, **asked)
    alone = [ai.chat.completions.create(model=model, messages=HELLO, seed=seed, **asked) for seed in (5, 6)]
    assert [choice.message.content for choice in both.choices] == [one.choices[0].message.content for one in alone]


class Berth(BaseModel):
    port: Literal["Ostend", "Bruges"]
    nights: Literal[1, 2, 3]
    has_power: bool | None


def test_the_clients_own_parsing_gets_what_it_asks_for(ai: OpenAI, model: str) -> None:
    """Of a model that knows nothing: what is said is the schema's doing."""
    asked: dict[str, Any] = {"model": model, "messages": HELLO, "temperature": 1.5, "response_format": Berth}
    whole = ai.chat.completions.parse(**asked, seed=1, n=2)
    for choice in whole.choices:
        assert choice.finish_reason == "stop"
        assert isinstance(choice.message.parsed, Berth)
    with ai.chat.completions.stream(**asked, seed=1) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        assert len(pieces) > 5
        assert stream.get_final_completion().choices[0].message.parsed == whole.choices[0].message.parsed
    with pytest.raises(openai.LengthFinishReasonError):
        ai.chat.completions.parse(**asked, max_tokens=3)


def test_a_schema_that_only_the_runtime_can_refuse_is_refused_in_the_clients_words(ai: OpenAI, model: str) -> None:
    asked: Any = {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": {"pattern": "("}}}
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="unclosed group") as refused:
            ai.chat.completions.create(model=model, messages=HELLO, response_format=asked, stream=stream)
        assert (refused.value.code, refused.value.type) == ("schema_unsupported", "invalid_request_error")
        assert refused.value.param == "response_format.json_schema.schema"


def test_hanging_up_in_the_middle_of_a_schema_makes_room(ai: OpenAI, model: str, runtime: Runtime) -> None:
    asked: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "string", "minLength": 3000}}}
    stream = ai.chat.completions.create(model=model, messages=HELLO, response_format=asked, stream=True, **LONG)
    for _ in range(3):
        next(stream)
    stream.close()
    eventually(lambda: runtime.num_active == 0)


def test_a_conversation_that_is_too_long_is_told_with_numbers(ai: OpenAI, model: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as refused:
            ai.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "What is it? " * 600}], stream=stream
            )
        assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "messages")
        assert isinstance(refused.value.body, dict)
        assert refused.value.body["details"]["prompt_tokens"] > refused.value.body["details"]["max_prompt_tokens"]


def test_what_was_read_at_the_first_turn_is_not_read_at_the_second(ai: OpenAI, model: str) -> None:
    def say(*messages: Any) -> Any:  # noqa: ANN401 - the client's own types
        asked = [{"role": "user", "content": "What is it? " * 5}, *messages]
        return ai.chat.completions.create(model=model, messages=asked, max_tokens=3, temperature=0)

    first = say()
    second = say({"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And why?"})
    again = say()
    read = [one.usage.prompt_tokens - one.usage.prompt_tokens_details.cached_tokens for one in (first, second, again)]
    assert read[0] == first.usage.prompt_tokens
    assert 1 < read[1] < second.usage.prompt_tokens
    assert read[2] == 1
    assert again.choices == first.choices


def test_one_workspace_is_told_to_come_back_and_hanging_up_makes_room(ai: OpenAI, model: str, runtime: Runtime) -> None:
    streams = [begun(ai, model) for _ in range(2)]
    with pytest.raises(openai.RateLimitError) as refused:
        ai.chat.completions.create(model=model, messages=HELLO)
    assert refused.value.code == "too_many_chats"
    assert int(refused.value.response.headers["retry-after"]) > 0
    assert refused.value.response.headers["x-should-retry"] == "true"
    for stream in streams:
        stream.close()
    eventually(lambda: runtime.num_active == 0)
    assert ai.chat.completions.create(model=model, messages=HELLO, max_tokens=3).usage


def test_more_choices_than_a_workspace_may_have_are_refused(ai: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ai.chat.completions.create(model=model, messages=HELLO, n=3)
    assert refused.value.param == "n"


def test_a_runtime_killed_in_the_middle_is_told_and_the_next_one_answers(
    ai: OpenAI, model: str, runtime: Runtime
) -> None:
    stream = begun(ai, model)
    runtime.kill()
    with pytest.raises(openai.APIError) as broken:
        list(stream)
    assert isinstance(broken.value.body, dict)
    assert set(broken.value.body) >= {"message", "type", "param", "code"}
    assert str(broken.value.code).startswith("inference_")
    for streamed in (False, True):
        with pytest.raises(openai.InternalServerError) as away:
            ai.chat.completions.create(model=model, messages=HELLO, stream=streamed)
        assert (away.value.status_code, away.value.code) == (503, "inference_unavailable")
    runtime.restart()
    assert ai.chat.completions.create(model=model, messages=HELLO, max_tokens=3).usage
    assert runtime.num_active == 0
