"""Chat as the unmodified client parses and streams it."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from core.errors import Unavailable
from tests.factories.inference import WORDS, FakeInference

pytestmark = pytest.mark.stack

HELLO: Any = [{"role": "user", "content": "Hello"}]


def test_chat_whole_and_in_pieces(ai: OpenAI, model: str) -> None:
    whole = ai.chat.completions.create(model=model, messages=HELLO, max_tokens=8)
    assert whole.choices[0].message.content == "".join(WORDS)
    assert whole.usage is not None
    assert whole.usage.total_tokens == 10

    stream = ai.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(WORDS)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert (last.choices, last.usage.completion_tokens) == ([], 3)


def test_a_stream_that_breaks_raises(ai: OpenAI, model: str, inference: FakeInference) -> None:
    inference.error, inference.error_after = Unavailable("The model server stopped.", code="inference_cut_off"), 1
    seen = []
    with pytest.raises(openai.APIError, match="stopped") as caught:
        seen.extend(ai.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert caught.value.code == "inference_cut_off"
    assert len(seen) == 2
