"""The fake runtime reads 7 tokens of each question and writes 3; "Hello" from a user is held for about 3."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from core.backends.limits import MemoryRateLimiter, RedisRateLimiter
from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from core.errors import Unavailable
from core.workspaces.roles import Role
from tests.api.chat.conftest import HELLO, Ask, Headers
from tests.conftest import key_headers, make_principal
from tests.factories.inference import FakeInference

pytestmark = pytest.mark.stack

LIMIT = 30
USED = 10


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"rate_limit_chat_tokens": LIMIT})


@pytest.fixture
def backends(backends: Backends) -> Backends:
    return replace(backends, limits=MemoryRateLimiter())


@pytest.mark.parametrize("stream", [False, True])
def test_the_tokens_of_answers_are_counted_and_the_next_question_is_told_when_to_come(ask: Ask, stream: bool) -> None:  # noqa: FBT001 - a parameter
    answers = [ask(stream=stream) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    first, second, _, refused = answers
    assert first.headers["x-ratelimit-limit-tokens"] == str(LIMIT)
    assert first.headers["x-ratelimit-remaining-tokens"] == str(LIMIT - 3)
    # what the first came to, and about what the second says
    assert int(second.headers["x-ratelimit-remaining-tokens"]) in {LIMIT - USED - 3, LIMIT - USED - 2}
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "30 tokens a minute" in error["message"]
    # 3 of 30 tokens come back in a tenth of a minute
    assert 1 <= int(refused.headers["retry-after"]) <= 6
    assert 0 < int(refused.headers["retry-after-ms"]) <= 6000
    assert refused.headers["x-should-retry"] == "true"
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    assert refused.headers["x-ratelimit-reset-tokens"]
    assert refused.headers["x-ratelimit-limit-requests"]


def test_an_answer_may_come_to_more_than_there_was_and_that_is_made_up_for(ask: Ask, inference: FakeInference) -> None:
    inference.pieces = inference.pieces * 20
    assert ask().status_code == 200
    refused = ask()
    assert refused.status_code == 429
    # 67 used of 30, and 3 wanted
    assert 70 < int(refused.headers["retry-after"]) <= 80


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_that_fails_before_the_first_word_costs_nothing(
    ask: Ask,
    inference: FakeInference,
    stream: bool,  # noqa: FBT001 - a parameter
) -> None:
    inference.error = Unavailable("The model server is not there.")
    for _ in range(LIMIT):
        assert ask(stream=stream).status_code == 503


def test_a_question_larger_than_a_minute_is_refused_for_good(ask: Ask, inference: FakeInference) -> None:
    refused = ask(messages=[{"role": "user", "content": "word " * 50}])
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "question_too_large")
    assert "retry-after" not in refused.headers
    assert inference.requests == []


def test_keys_of_a_workspace_share_its_tokens_and_another_workspace_has_its_own(
    ask: Ask, client: TestClient, database: Database, workspace_id: str, as_stranger: Headers, model: str
) -> None:
    for _ in range(3):
        ask()
    other_key = key_headers(database, make_principal(database, workspace_id, Role.MEMBER))
    body = {"model": model, "messages": HELLO}
    asked = [client.post("/v1/chat/completions", headers=headers, json=body) for headers in (other_key, as_stranger)]
    assert [answer.status_code for answer in asked] == [429, 200]


class TestWithoutALimit:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"rate_limit_chat_tokens": 0})

    def test_no_header_tells_of_tokens(self, ask: Ask) -> None:
        assert [name for name in ask().headers if name.endswith("-tokens")] == []


class TestWithoutValkey:
    @pytest.fixture
    def backends(self, backends: Backends) -> Backends:
        return replace(backends, limits=RedisRateLimiter(Settings(redis_url="redis://127.0.0.1:1/0")))

    def test_questions_pass_uncounted(self, ask: Ask) -> None:
        assert {ask().status_code for _ in range(4)} == {200}
