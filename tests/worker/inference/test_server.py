"""The server as the api meets it: over real HTTP, through the client that the api uses."""

import asyncio
import functools
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import torch
import uvicorn

from core.config import Settings
from core.errors import Invalid, NotFound, Unavailable
from core.inference.client import InferenceClient
from core.inference.types import AdapterFile, AdapterRef, ChatDelta, ChatRequest, Message, ProofRequest, Sampling
from core.kit.hashing import sha256_bytes, sha256_file
from tests.factories.waiting import eventually
from tests.worker.inference.tiny_models import chat_request, load_adapter
from worker.inference.contract import Sink
from worker.inference.generation import Generation
from worker.inference.residence import MAX_WAITING
from worker.inference.runtime import load_runtime
from worker.inference.server import LineStream, create_app
from worker.inference.service import InferenceService
from worker.training import parity

DEADLINE_S = 30


@dataclass
class Served:
    settings: Settings
    client: InferenceClient
    service: InferenceService


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def store_url(adapter_folders: dict[str, Path]) -> Iterator[str]:
    root = adapter_folders["red"].parent
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietFiles, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    settings = Settings(home=home, inference_token="secret-of-the-test")
    service = InferenceService(settings)
    server = uvicorn.Server(uvicorn.Config(create_app(settings, service), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    reachable = settings.model_copy(update={"inference_url": f"http://127.0.0.1:{port}"})
    client = InferenceClient(reachable)
    eventually(lambda: client.health().status == "ready")
    yield Served(reachable, client, service)
    client.close()
    server.should_exit = True
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


async def collect(client: InferenceClient, *requests: ChatRequest) -> list[list[ChatDelta]]:
    async def one(request: ChatRequest) -> list[ChatDelta]:
        return [delta async for delta in client.stream(request)]

    return list(await asyncio.gather(*map(one, requests)))


def test_the_whole_answer_and_its_pieces_are_the_same(served: Served) -> None:
    request = chat_request(temperature=1, seed=5)
    whole = served.client.chat(request)
    (pieces,) = asyncio.run(collect(served.client, request))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[0].start is not None
    assert pieces[0].start.prompt_tokens == whole.prompt_tokens
    assert pieces[0].start.fingerprint.startswith("fp_")
    assert pieces[-1].finish_reason == whole.finish_reason
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens == whole.completion_tokens
    assert whole.prompt_tokens > 5
    assert whole.seconds > 0


def test_two_streams_with_different_adapters_equal_their_solo_runs(
    served: Served, adapter_ref: Callable[..., AdapterRef], store_url: str
) -> None:
    requests = [
        chat_request(adapter=adapter_ref("red", store_url)),
        chat_request(adapter=adapter_ref("blue", store_url)),
        chat_request(),
    ]
    alone = [served.client.chat(request) for request in requests]
    together = asyncio.run(collect(served.client, *requests))
    assert ["".join(piece.text for piece in pieces) for pieces in together] == [answer.text for answer in alone]
    assert len({answer.text for answer in alone}) == 3
    assert set(served.client.health().adapters) >= {adapter_ref(name).digest for name in ("red", "blue")}


def test_hanging_up_cancels_the_answer(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Generation] = []
    generate = served.service.generate

    def remember(request: ChatRequest, sink: Sink) -> Generation:
        started.append(generate(request, sink))
        monkeypatch.setattr(started[0].runtime, "end_ids", frozenset())
        return started[0]

    async def take_one_and_leave() -> None:
        async with aclosing(served.client.stream(chat_request(max_tokens=900, temperature=2, seed=3))) as stream:
            async for _ in stream:
                return

    monkeypatch.setattr(served.service, "generate", remember)
    asyncio.run(take_one_and_leave())
    # it may not have been admitted yet, and then nobody is active either
    eventually(lambda: started[0].is_cancelled)
    eventually(lambda: served.client.health().active == 0)
    assert started[0].num_cached < 900


def test_a_server_that_ends_tells_those_who_are_being_answered(served: Served) -> None:
    """What uvicorn does after its patience with an open answer: it cancels the request's task."""
    (runtime,) = [runtime for key, runtime in served.service._variants.loaded() if key.quantization is None]
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def begin_and_cancel() -> None:
        generation = Generation(runtime, [1, 5], Sampling(), lambda _: None)
        answer = asyncio.create_task(LineStream(generation, asyncio.Queue())({}, receive, send))
        await asyncio.sleep(0)
        answer.cancel()
        await answer
        assert generation.is_cancelled

    asyncio.run(begin_and_cancel())
    assert b"restarting" in sent[-1]["body"]
    assert sent[-1]["more_body"] is False


def test_a_stop_string_ends_the_answer(served: Served) -> None:
    text = served.client.chat(chat_request()).text
    stop = text[6:9]
    stopped = served.client.chat(chat_request(stop=[stop]))
    assert stopped.text == text[: text.find(stop)]
    assert stopped.finish_reason == "stop"


def test_a_conversation_that_is_too_long_is_the_senders_to_fix(served: Served) -> None:
    with pytest.raises(Invalid) as refused:
        served.client.chat(chat_request("What is it? " * 600))
    assert refused.value.error_code == "context_length_exceeded"
    assert refused.value.param == "messages"
    most = refused.value.details["max_prompt_tokens"]
    assert str(most) in refused.value.message
    assert refused.value.details["prompt_tokens"] > most


def test_a_bias_for_a_token_that_is_not_there_is_refused(served: Served) -> None:
    with pytest.raises(Invalid) as refused:
        served.client.chat(chat_request(logit_bias={304: 1}))
    assert (refused.value.error_code, refused.value.param) == ("unknown_token", "logit_bias")
    served.client.chat(chat_request(logit_bias={303: -100}))


def test_tools_are_refused_where_the_template_has_no_place_for_them(served: Served) -> None:
    tool = {"type": "function", "function": {"name": "find_tide"}}
    with pytest.raises(Invalid) as refused:
        served.client.chat(chat_request().model_copy(update={"tools": (tool,)}))
    assert (refused.value.error_code, refused.value.param) == ("tools_unsupported", "tools")


def test_a_tools_message_is_refused_where_the_template_has_no_place_for_it(served: Served) -> None:
    told = (Message(role="user", content="How high?"), Message(role="tool", content="4.2", tool_call_id="call_1"))
    with pytest.raises(Invalid) as refused:
        served.client.chat(chat_request().model_copy(update={"messages": told}))
    assert refused.value.error_code == "tools_unsupported"


def test_log_probabilities_travel_with_the_text(served: Served) -> None:
    (pieces,) = asyncio.run(collect(served.client, chat_request(top_logprobs=3)))
    entries = [entry for piece in pieces for entry in piece.logprobs]
    assert entries
    assert {len(entry.top_logprobs) for entry in entries} == {3}


def test_an_equal_seed_gives_an_equal_answer_under_one_fingerprint(served: Served) -> None:
    request = chat_request(temperature=1.5, seed=11, presence_penalty=1, top_p=0.9)
    answers = asyncio.run(collect(served.client, request, request))
    texts = {"".join(piece.text for piece in pieces) for pieces in answers}
    assert len(texts) == 1
    assert len({pieces[0].start.fingerprint for pieces in answers if pieces[0].start}) == 1


def test_rounded_weights_have_another_fingerprint(base_folder: Path) -> None:
    assert load_runtime(base_folder, None).fingerprint == load_runtime(base_folder, None).fingerprint
    assert load_runtime(base_folder, None).fingerprint != load_runtime(base_folder, "nf4").fingerprint


def test_an_unknown_base_model_is_not_found(served: Served) -> None:
    with pytest.raises(NotFound):
        served.client.chat(chat_request().model_copy(update={"base_model": "gpt-9"}))


def test_an_adapter_that_arrives_damaged_is_refused(
    served: Served, adapter_ref: Callable[..., AdapterRef], store_url: str
) -> None:
    red = adapter_ref("red", store_url)
    wrong = red.model_copy(
        update={"digest": "0" * 64, "files": tuple(f.model_copy(update={"sha256": "0" * 64}) for f in red.files)}
    )
    with pytest.raises(Unavailable) as refused:
        asyncio.run(collect(served.client, chat_request(adapter=wrong)))
    assert refused.value.error_code == "adapter_corrupted"


@pytest.mark.parametrize("path", ["/health", "/generate"])
@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer wrong", "secret-of-the-test"])
def test_no_token_no_answer(served: Served, path: str, token: str | None) -> None:
    headers = {} if token is None else {"authorization": token}
    url = served.settings.inference_url + path
    answer = httpx.get(url, headers=headers) if path == "/health" else httpx.post(url, headers=headers, content="{}")
    assert answer.status_code == 401
    assert answer.json()["code"] == "inference_token_wrong"


def test_many_that_wait_for_a_model_keep_nobody_from_one_that_is_loaded(settings: Settings) -> None:
    may_end = threading.Event()
    entered: list[ChatRequest] = []

    class Loading:
        """Reads every model but the default one, for as long as the test likes."""

        def generate(self, request: ChatRequest, _sink: Sink) -> Generation:
            if request.base_model != chat_request().base_model:
                entered.append(request)
                assert may_end.wait(DEADLINE_S)
            raise Unavailable("No answer here.", code="engine_died")

    async def ask_all() -> None:
        app = create_app(settings, cast("InferenceService", Loading()))
        headers = {"authorization": f"Bearer {settings.inference_token}"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t", headers=headers) as http:

            async def ask(base_model: str) -> int:
                body = chat_request().model_copy(update={"base_model": base_model}).model_dump_json()
                return (await http.post("/generate", content=body)).status_code

            slow = [asyncio.create_task(ask("qwen3-8b")) for _ in range(MAX_WAITING)]
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await asyncio.to_thread(eventually, lambda: len(entered) == MAX_WAITING)
                    assert await ask(chat_request().base_model) == 503
                assert not any(one.done() for one in slow)
            finally:
                may_end.set()
            assert await asyncio.gather(*slow) == [503] * MAX_WAITING

    asyncio.run(ask_all())


@pytest.mark.parametrize("body", ["", "[]", "{", json.dumps({"base_model": "x", "messages": []})])
def test_a_body_that_is_not_a_request_is_refused(served: Served, body: str) -> None:
    headers = {"authorization": f"Bearer {served.settings.inference_token}"}
    answer = httpx.post(served.settings.inference_url + "/generate", headers=headers, content=body)
    assert answer.status_code == 400
    assert answer.json()["category"] == "invalid"


def test_before_the_model_is_read_the_server_says_that_it_starts(settings: Settings) -> None:
    service = InferenceService(settings)
    assert service.health().status == "loading"
    with pytest.raises(Unavailable, match="is starting"):
        service.generate(chat_request(), lambda _: None)
    service.stop()


def test_without_a_base_model_the_server_says_what_is_missing(tmp_path: Path) -> None:
    service = InferenceService(Settings(home=tmp_path))
    service.start()
    eventually(lambda: service.health().status == "failed")
    assert "worker.base_models" in (service.health().problem or "")
    service.stop()


def test_a_proof_is_told_over_http(
    served: Served, store_url: str, base_folder: Path, adapter_folders: dict[str, Path], tmp_path: Path
) -> None:
    """By an adapter whose scores were written down here; `tests/worker/training` has those that a trainer wrote."""
    runtime = load_runtime(base_folder, None)
    tokens = [3, 20, 41, 42, 43, 90, 33, 7, 8, 9]
    weights = load_adapter(runtime, adapter_folders["blue"])
    scores = torch.stack([runtime.prefill(0, tokens[:end], 0, weights) for end in range(3, len(tokens) + 1)])
    top = scores.topk(64, dim=-1)
    answers = {
        "parity.0.token_ids": torch.tensor(tokens, dtype=torch.int32),
        "parity.0.score_ids": top.indices.to(torch.int32),
        "parity.0.scores": top.values.contiguous(),
    }
    proved = adapter_folders["red"].parent / "proved"
    shutil.copytree(adapter_folders["blue"], proved)
    parity.write(proved, answers, identity=runtime.identity, compute_dtype="float32")
    proof = served.client.prove(proof_request("proved", proved, store_url))
    assert (proof.is_passed, proof.code, proof.num_places) == (True, None, 8)
    with pytest.raises(Invalid) as caught:  # nothing was written down
        served.client.prove(proof_request("red", adapter_folders["red"], store_url))
    assert caught.value.error_code == "proof_missing"


def proof_request(name: str, folder: Path, store_url: str) -> ProofRequest:
    files = tuple(
        AdapterFile(
            name=path.name,
            url=f"{store_url}/{name}/{path.name}",
            sha256=sha256_file(path),
            num_bytes=path.stat().st_size,
        )
        for path in sorted(folder.iterdir())
    )
    digest = sha256_bytes("".join(file.sha256 for file in files).encode())
    return ProofRequest(
        base_model=chat_request().base_model, adapter=AdapterRef(id=f"adp_{name}", digest=digest, files=files)
    )
