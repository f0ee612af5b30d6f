"""Each inference runtime through the same cases, on the same tiny base model: equal answers, not only alike ones."""

import functools
import http.server
import json
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from core.base_models import service as base_models
from core.config import Settings
from core.errors import AppError, Invalid, RateLimited, Unavailable
from core.inference.types import (
    AdapterFile,
    AdapterRef,
    ChatRequest,
    Constraint,
    DeltaLine,
    DoneLine,
    ErrorLine,
    JsonShape,
    ProofRequest,
    StreamLine,
    TokenLogprob,
)
from core.kit.hashing import sha256_bytes, sha256_file
from tests.factories.engines import fake_python, real_python
from tests.factories.waiting import eventually
from tests.worker.inference.tiny_models import chat_request, load_adapter, make_adapter, make_home, make_prompt
from worker.inference.contract import Answering, CannotServe, Runtime
from worker.inference.runtime import BaseRuntime, load_runtime
from worker.inference.service import InferenceService
from worker.inference.vllm.runtime import VllmRuntime
from worker.training import parity

DEADLINE_S = 600
BASE = base_models.default_base_model().id
PLACES = 4


@dataclass
class Answer:
    """What a sink was told."""

    lines: "queue.Queue[StreamLine]" = field(default_factory=queue.Queue)
    answering: Answering | None = None
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    last: DoneLine | ErrorLine | None = None

    def read(self) -> "Answer":
        while self.last is None:
            line = self.lines.get(timeout=DEADLINE_S)
            if isinstance(line, DeltaLine):
                self.text += line.text
                self.logprobs += line.logprobs
            elif isinstance(line, DoneLine | ErrorLine):
                self.last = line
        return self

    @property
    def done(self) -> DoneLine:
        assert isinstance(self.last, DoneLine), self.last
        return self.last


@dataclass
class Fixture:
    runtime: Runtime
    ours: BaseRuntime
    """The same base model, to compare with."""
    refs: dict[str, AdapterRef]

    def ask(self, request: ChatRequest) -> Answer:
        answer = Answer()
        answer.answering = self.runtime.generate(request, answer.lines.put)
        return answer

    def answer(self, request: ChatRequest) -> Answer:
        return self.ask(request).read()


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its heads are as large as vLLM's kernels want them at least."""
    torch.set_num_threads(1)
    return make_home(tmp_path_factory.mktemp("home"), num_heads=2)


@pytest.fixture(scope="module")
def ours(home: Path) -> BaseRuntime:
    return load_runtime(home / "base_models" / BASE, None)


@pytest.fixture(scope="module")
def adapter_folders(home: Path, ours: BaseRuntime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base, root = home / "base_models" / BASE, tmp_path_factory.mktemp("adapters")
    made = {
        "red": make_adapter(base, root / "red", seed=1),
        "blue": make_adapter(base, root / "blue", seed=2, rank=8, rslora=True),
        "grey": make_adapter(base, root / "grey", seed=3),
        "pink": make_adapter(base, root / "pink", seed=5),
        "dora": make_adapter(base, root / "dora", seed=3, dora=True),
        "prompt": make_prompt(base, root / "prompt", seed=4),
    }
    write_reference(ours, made["red"], of=made["red"])
    write_reference(ours, made["blue"], of=made["red"])
    return made


@pytest.fixture(scope="module")
def refs(adapter_folders: dict[str, Path]) -> Iterator[dict[str, AdapterRef]]:
    root = adapter_folders["red"].parent
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietFiles, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {name: ref_of(folder, f"http://127.0.0.1:{server.server_port}") for name, folder in adapter_folders.items()}
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["own", "vllm-faked", pytest.param("vllm", marks=pytest.mark.vllm)])
def fixture(
    request: pytest.FixtureRequest,
    home: Path,
    ours: BaseRuntime,
    refs: dict[str, AdapterRef],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fixture]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "base_models").symlink_to(home / "base_models")
    runtime = make_runtime(request.param, folder)
    runtime.start()
    eventually(lambda: runtime.health().status != "loading", timeout_s=DEADLINE_S)
    assert runtime.health().status == "ready", runtime.health()
    yield Fixture(runtime, ours, refs)
    runtime.stop()


def make_runtime(kind: str, folder: Path) -> Runtime:
    settings = Settings(
        home=folder,
        max_chats_per_workspace=PLACES,
        vllm_python=real_python() if kind == "vllm" else fake_python(folder),
        vllm_max_adapters=2,
        vllm_max_lora_rank=8,
        vllm_cpu_cache_gib=1,
    )
    return InferenceService(settings) if kind == "own" else VllmRuntime(settings, [BASE])


def write_reference(runtime: BaseRuntime, folder: Path, *, of: Path) -> None:
    """What a trainer would have written down for the adapter `of`."""
    tokens = [3, 20, 41, 42, 43, 90, 33, 7, 8, 9]
    weights = load_adapter(runtime, of)
    scores = torch.stack([runtime.prefill(0, tokens[:end], 0, weights) for end in range(3, len(tokens) + 1)])
    top = scores.topk(256, dim=-1)
    answers = {
        "parity.0.token_ids": torch.tensor(tokens, dtype=torch.int32),
        "parity.0.score_ids": top.indices.to(torch.int32),
        "parity.0.scores": top.values.contiguous(),
    }
    parity.write(folder, answers, identity=runtime.identity, compute_dtype="float32")


def ref_of(folder: Path, url: str) -> AdapterRef:
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    files = tuple(
        AdapterFile(
            name=path.name,
            url=f"{url}/{folder.name}/{path.name}",
            sha256=sha256_file(path),
            num_bytes=path.stat().st_size,
        )
        for path in paths
    )
    digest = sha256_bytes("".join(file.sha256 for file in files).encode())
    return AdapterRef(id=f"adp_{folder.name}", digest=digest, files=files)


def greedy(
    runtime: BaseRuntime, folder: Path | None, prompt: list[int], num_tokens: int
) -> tuple[list[int], list[float]]:
    """Token by token without a cache: as plain as it gets."""
    weights = load_adapter(runtime, folder) if folder else None
    ids: list[int] = []
    logprobs: list[float] = []
    while len(ids) < num_tokens and not (ids and ids[-1] in runtime.end_ids):
        scores = runtime.prefill(0, [*prompt, *ids], 0, weights)
        ids.append(int(scores.argmax()))
        logprobs.append(float(scores.log_softmax(0).max()))
    return ids, logprobs


def prompt_of(runtime: BaseRuntime, text: str = "What is 2 + 2?") -> list[int]:
    return runtime.chat_format.render_prompt([{"role": "user", "content": text}])


@pytest.mark.parametrize("name", [None, "red", "blue"])
def test_the_surest_answer_is_that_of_the_plain_model_token_by_token(
    fixture: Fixture, adapter_folders: dict[str, Path], name: str | None
) -> None:
    answer = fixture.answer(chat_request(adapter=fixture.refs[name] if name else None, top_logprobs=3))
    prompt = prompt_of(fixture.ours)
    ids, logprobs = greedy(fixture.ours, adapter_folders[name] if name else None, prompt, 24)
    said = [one for one in ids if one not in fixture.ours.end_ids]
    assert answer.text == fixture.ours.chat_format.decode(said)
    assert [entry.logprob for entry in answer.logprobs] == pytest.approx(logprobs[: len(said)], abs=2e-3)
    assert {len(entry.top_logprobs) for entry in answer.logprobs} == {3}
    assert all(entry.top_logprobs[0].logprob == entry.logprob for entry in answer.logprobs)
    assert answer.done.usage.prompt_tokens == len(prompt)
    assert answer.done.usage.completion_tokens == len(ids)
    assert 0 < answer.done.usage.seconds < 60
    assert answer.done.finish_reason == ("stop" if len(said) < len(ids) else "length")


def test_answers_of_several_models_at_once_are_those_of_each_alone(fixture: Fixture) -> None:
    requests = [chat_request(adapter=fixture.refs["red"]), chat_request(adapter=fixture.refs["blue"]), chat_request()]
    alone = [fixture.answer(request).text for request in requests]
    together = [fixture.ask(request) for request in requests]
    assert [answer.read().text for answer in together] == alone
    assert len(set(alone)) == 3


def test_an_equal_seed_gives_an_equal_answer_under_one_fingerprint(fixture: Fixture) -> None:
    asked = [chat_request(temperature=1.5, seed=seed, presence_penalty=1, top_p=0.9) for seed in (11, 11, 12)]
    answers = [fixture.answer(request) for request in asked]
    assert answers[0].text == answers[1].text != answers[2].text
    fingerprints = {answer.answering.fingerprint for answer in answers if answer.answering}
    assert len(fingerprints) == 1
    assert fingerprints.pop().startswith("fp_")


def test_a_stop_string_ends_the_answer_and_is_not_told(fixture: Fixture) -> None:
    text = fixture.answer(chat_request()).text
    stopped = fixture.answer(chat_request(stop=[text[6:9]], top_logprobs=0))
    assert stopped.text == text[: text.find(text[6:9])]
    assert stopped.done.finish_reason == "stop"
    assert 0 < len(stopped.logprobs) < stopped.done.usage.completion_tokens
    assert {entry.top_logprobs for entry in stopped.logprobs} == {()}


def test_a_bias_decides_what_is_said(fixture: Fixture) -> None:
    answer = fixture.answer(chat_request(logit_bias={60: 100}, max_tokens=3))
    assert answer.text == fixture.ours.chat_format.decode([60, 60, 60])
    assert (answer.done.finish_reason, answer.done.usage.completion_tokens) == ("length", 3)


def test_an_answer_keeps_to_a_schema_whatever_the_model_would_rather_say(fixture: Fixture) -> None:
    schema = (
        '{"type": "object", "properties": {"n": {"enum": [4, 22]}}, "required": ["n"], "additionalProperties": false}'
    )
    constraint = Constraint(shape=JsonShape(json_schema=schema, param="response_format"))
    answer = fixture.answer(chat_request(max_tokens=60).model_copy(update={"constraint": constraint}))
    assert json.loads(answer.text) in ({"n": 4}, {"n": 22})
    assert answer.done.finish_reason == "stop"
    broken = Constraint(shape=JsonShape(json_schema='{"type": "thing"}', param="response_format"))
    assert refusal(fixture, chat_request().model_copy(update={"constraint": broken}), Invalid).param


def test_what_cannot_be_read_is_refused_before_anything_is_sent(fixture: Fixture) -> None:
    for request, code in [
        (chat_request("What is it? " * 600), "context_length_exceeded"),
        (chat_request(logit_bias={304: 1}), "unknown_token"),
        (chat_request().model_copy(update={"tools": ({"function": {"name": "find"}},)}), "tools_unsupported"),
    ]:
        assert refusal(fixture, request, Invalid).error_code == code
    red = fixture.refs["red"]
    damaged = tuple(file.model_copy(update={"sha256": "0" * 64}) for file in red.files)
    wrong = red.model_copy(update={"digest": "0" * 64, "files": damaged})
    assert refusal(fixture, chat_request(adapter=wrong), Unavailable).error_code == "adapter_corrupted"


def test_who_hangs_up_gives_the_place_back(fixture: Fixture) -> None:
    answer = fixture.ask(long_request())
    answer.lines.get(timeout=DEADLINE_S)
    assert answer.answering
    answer.answering.cancel()
    eventually(lambda: fixture.runtime.health().active == 0, timeout_s=DEADLINE_S)
    answer.answering.cancel()


def test_no_workspace_takes_all_places(fixture: Fixture) -> None:
    eventually(lambda: fixture.runtime.health().active == 0, timeout_s=DEADLINE_S)
    answers = [fixture.ask(long_request()) for _ in range(PLACES)]
    refused = refusal(fixture, long_request(), RateLimited)
    assert (refused.error_code, refused.details["retry_after_s"] > 0) == ("too_many_chats", True)
    other = fixture.answer(chat_request().model_copy(update={"workspace_id": "ws_other"}))
    assert other.done
    for answer in answers:
        assert answer.answering
        answer.answering.cancel()
    eventually(lambda: fixture.runtime.health().active + fixture.runtime.health().waiting == 0, timeout_s=DEADLINE_S)


def test_the_proof_passes_for_what_was_trained_and_for_nothing_else(fixture: Fixture) -> None:
    passed = fixture.runtime.prove(ProofRequest(base_model=BASE, adapter=fixture.refs["red"]))
    assert (passed.is_passed, passed.code, passed.num_places) == (True, None, 8)
    assert passed.max_difference is not None
    assert passed.max_difference < 0.01
    assert passed.effect is not None
    assert passed.effect > 0.1
    wrong = fixture.runtime.prove(ProofRequest(base_model=BASE, adapter=fixture.refs["blue"]))
    assert (wrong.is_passed, wrong.code) == (False, "proof_answers_differ")
    with pytest.raises(Invalid) as caught:
        fixture.runtime.prove(ProofRequest(base_model=BASE, adapter=fixture.refs["grey"]))
    assert caught.value.error_code == "proof_missing"


def test_more_adapters_than_places_take_turns(fixture: Fixture) -> None:
    names = ["red", "blue", "grey", "pink"]
    first = {name: fixture.answer(chat_request(adapter=fixture.refs[name])).text for name in names}
    again = {name: fixture.answer(chat_request(adapter=fixture.refs[name])).text for name in reversed(names)}
    assert first == again
    assert len(set(first.values())) == len(names)
    most = 2 if fixture.runtime.name == "vllm" else len(names)
    assert len(fixture.runtime.health().adapters) <= most


@pytest.mark.parametrize("name", ["dora", "prompt"])
def test_a_kind_of_adapter_is_served_as_trained_or_refused_with_the_reason(
    fixture: Fixture, adapter_folders: dict[str, Path], name: str
) -> None:
    request = chat_request(adapter=fixture.refs[name])
    if fixture.runtime.name == "vllm":
        for _ in range(2):  # also when it is remembered
            refused = refusal(fixture, request, CannotServe)
            assert refused.error_code == "runtime_cannot_serve"
            assert {"dora": "DoRA", "prompt": "learned prompt"}[name] in refused.message
        return
    ids, _ = greedy(fixture.ours, adapter_folders[name], prompt_of(fixture.ours), 24)
    assert fixture.answer(request).text == fixture.ours.chat_format.decode(
        [one for one in ids if one not in fixture.ours.end_ids]
    )


def test_health_names_the_base_and_who_answers_for_it(fixture: Fixture) -> None:
    (served,) = fixture.runtime.health().served
    assert (served.base_model, served.runtime, served.status) == (BASE, fixture.runtime.name, "ready")
    assert (served.num_restarts, served.problem) == (0, None)


def test_a_runtime_that_ends_tells_who_is_being_answered_and_who_waits(fixture: Fixture) -> None:
    """Runs last: nothing can be asked of it afterwards."""
    answers = [fixture.ask(long_request(workspace_id=f"ws_{number}")) for number in range(9)]
    answers[0].lines.get(timeout=DEADLINE_S)
    fixture.runtime.stop()
    lasts = [answer.read().last for answer in answers]
    assert {isinstance(last, ErrorLine) and last.code for last in lasts} == {"inference_unavailable"}
    assert refusal(fixture, chat_request(), Unavailable).error_code in {"inference_unavailable", "engine_starting"}


def long_request(workspace_id: str = "ws_one") -> ChatRequest:
    """It goes on until nobody wants it any more: what would end it is forbidden."""
    request = chat_request(max_tokens=900, temperature=1, seed=3, logit_bias={2: -100, 0: -100})
    return request.model_copy(update={"workspace_id": workspace_id})


def refusal(fixture: Fixture, request: ChatRequest, expected: type[AppError]) -> AppError:
    told: list[StreamLine] = []
    with pytest.raises(expected) as caught:
        fixture.runtime.generate(request, told.append)
    assert not told
    return caught.value
