import asyncio
from collections.abc import Callable

import httpx
import pytest

from core.config import Settings
from core.errors import AppError, Invalid, RateLimited, Unavailable
from core.inference.client import InferenceClient
from core.inference.types import ChatRequest, ErrorLine, Message

REQUEST = ChatRequest(base_model="m", messages=(Message(role="user", content="Hi"),))
DONE = b'{"type":"done","finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":2,"seconds":0.5}}\n'
Answer = Callable[[httpx.Request], httpx.Response]


def client_of(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> InferenceClient:
    """A client whose sync and async connections both end in `answer`."""
    transport = httpx.MockTransport(answer)
    for name in ("Client", "AsyncClient"):
        original = getattr(httpx, name)
        monkeypatch.setattr(
            httpx, name, lambda *args, original=original, **kwargs: original(*args, transport=transport, **kwargs)
        )
    return InferenceClient(Settings(inference_token="t"))


def ask(client: InferenceClient, way: str) -> str:
    if way == "chat":
        return client.chat(REQUEST).text

    async def stream() -> str:
        return "".join([delta.text async for delta in client.stream(REQUEST)])

    return asyncio.run(stream())


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_lines_become_text(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    lines = b'{"type":"delta","text":"Hel"}\n{"type":"delta","text":"lo\\n"}\n' + DONE
    client = client_of(lambda _: httpx.Response(200, content=lines), monkeypatch)
    assert ask(client, way) == "Hello\n"


def test_the_result_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    result = client_of(lambda _: httpx.Response(200, content=DONE), monkeypatch).chat(REQUEST)
    assert (result.prompt_tokens, result.completion_tokens, result.seconds) == (3, 2, 0.5)


def refuse(status: int, category: str) -> Answer:
    line = ErrorLine.model_validate({"category": category, "code": "c", "message": "Why.", "param": "messages"})
    return lambda _: httpx.Response(status, content=line.model_dump_json())


def raising(error: Exception) -> Answer:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize("way", ["chat", "stream"])
@pytest.mark.parametrize(
    ("answer", "expected", "code"),
    [
        (refuse(400, "invalid"), Invalid, "c"),
        (refuse(429, "rate_limited"), RateLimited, "c"),
        (refuse(503, "unavailable"), Unavailable, "c"),
        (lambda _: httpx.Response(502, content=b"<html>"), Unavailable, "inference_unavailable"),
        (lambda _: httpx.Response(200, content=b'{"type":"delta","text":"Hel"}\n'), Unavailable, "inference_cut_off"),
        (lambda _: httpx.Response(200, content=b'{"type":"delta","te'), Unavailable, "inference_cut_off"),
        (
            lambda _: httpx.Response(
                200, content=ErrorLine(category="internal", code="x", message="m").model_dump_json()
            ),
            Unavailable,
            "x",
        ),
        (raising(httpx.ConnectError("refused")), Unavailable, "inference_unavailable"),
        (raising(httpx.ReadTimeout("slow")), Unavailable, "inference_timeout"),
        (raising(httpx.ReadError("reset")), Unavailable, "inference_unavailable"),
    ],
)
def test_failures_become_errors_for_people(
    monkeypatch: pytest.MonkeyPatch, way: str, answer: Answer, expected: type[AppError], code: str
) -> None:
    with pytest.raises(expected) as raised:
        ask(client_of(answer, monkeypatch), way)
    assert raised.value.error_code == code


def test_a_server_that_is_not_there_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(raising(httpx.ConnectError("refused")), monkeypatch)
    with pytest.raises(Unavailable, match="starting or not running"):
        client.health()
