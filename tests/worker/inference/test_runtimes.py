"""Which runtime answers for which base model, and what becomes of what it cannot serve."""

import logging
from dataclasses import dataclass, field

import pytest

from core.config import Settings
from core.errors import NotFound
from core.inference.types import ChatRequest, Message, Proof, ProofRequest, RuntimeHealth, RuntimeName, ServedBase
from tests.worker.inference.tiny_models import chat_request
from worker.inference.contract import Answering, CannotServe, Runtime, Sink
from worker.inference.runtimes import Runtimes

DEFAULT = chat_request().base_model


@dataclass
class Answer:
    fingerprint: str
    num_prompt_tokens: int = 1

    def cancel(self) -> None:
        pass


@dataclass(eq=False)
class Recorder:
    """A runtime that says who answered."""

    name: RuntimeName
    served: tuple[ServedBase, ...] = ()
    status: str = "ready"
    cannot: str | None = None
    asked: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.asked.append("start")

    def stop(self) -> None:
        self.asked.append("stop")

    def generate(self, request: ChatRequest, sink: Sink) -> Answering:
        if self.cannot:
            raise CannotServe(self.cannot, param="model")
        return Answer(self.name)

    def prove(self, request: ProofRequest) -> Proof:
        if self.cannot:
            raise CannotServe(self.cannot, param="model")
        raise NotFound(self.name)

    def health(self) -> RuntimeHealth:
        about = {"status": self.status, "served": self.served, "active": 1, "problem": f"of {self.name}"}
        return RuntimeHealth.model_validate(about)


def request_for(base_model: str) -> ChatRequest:
    return ChatRequest(base_model=base_model, messages=(Message(role="user", content="Hi"),))


def who_answers(runtimes: Runtimes, base_model: str) -> str:
    return runtimes.generate(request_for(base_model), lambda _: None).fingerprint


def both(vllm: Recorder, *, falls_back: bool) -> tuple[Runtimes, Runtime]:
    own = Recorder("tailorbird")
    return Runtimes(own, {"big": vllm, "huge": vllm}, falls_back=falls_back), own


def test_a_base_model_is_answered_for_by_the_runtime_it_is_named_for() -> None:
    runtimes, _ = both(Recorder("vllm"), falls_back=True)
    assert [who_answers(runtimes, base) for base in ("big", "huge", "other")] == ["vllm", "vllm", "tailorbird"]


def test_what_vllm_cannot_serve_falls_to_ours_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    runtimes, _ = both(Recorder("vllm", cannot="it is a learned prompt"), falls_back=True)
    with caplog.at_level(logging.INFO):
        assert who_answers(runtimes, "big") == "tailorbird"
    assert "it is a learned prompt" in caplog.text


def test_or_is_refused_with_the_reason_where_the_settings_say_so() -> None:
    runtimes, _ = both(Recorder("vllm", cannot="it is a learned prompt"), falls_back=False)
    with pytest.raises(CannotServe, match="it is a learned prompt") as refused:
        who_answers(runtimes, "big")
    assert (refused.value.error_code, refused.value.param) == ("runtime_cannot_serve", "model")


def test_the_proof_is_made_by_whoever_will_answer() -> None:
    asked = ProofRequest.model_validate({"base_model": "big", "adapter": {"id": "a", "digest": "0" * 64, "files": ()}})
    for cannot, who in ((None, "vllm"), ("it is a learned prompt", "tailorbird")):
        runtimes, _ = both(Recorder("vllm", cannot=cannot), falls_back=True)
        with pytest.raises(NotFound, match=who):
            runtimes.prove(asked)


def test_health_is_that_of_who_has_the_default_model_and_names_all() -> None:
    vllm = Recorder(
        "vllm", served=(ServedBase(base_model=DEFAULT, runtime="vllm", status="starting"),), status="loading"
    )
    own = Recorder("tailorbird", served=(ServedBase(base_model="other", runtime="tailorbird", status="ready"),))
    told = Runtimes(own, {DEFAULT: vllm}, falls_back=True).health()
    assert (told.status, told.problem, told.active) == ("loading", "of vllm", 2)
    assert [(one.base_model, one.runtime) for one in told.served] == [("other", "tailorbird"), (DEFAULT, "vllm")]


def test_each_is_started_and_stopped_once() -> None:
    vllm = Recorder("vllm")
    runtimes, _ = both(vllm, falls_back=True)
    runtimes.start()
    runtimes.stop()
    assert vllm.asked == ["start", "stop"]


def test_the_settings_name_the_bases_and_an_unknown_one_is_told() -> None:
    with pytest.raises(NotFound, match="no base model 'qwen9'"):
        Runtimes.of(Settings(vllm_base_models="qwen3-8b, qwen9"))
    assert Settings(vllm_base_models=" qwen3-8b,,qwen3-8b ,qwen3-4b").base_models_of_vllm == ("qwen3-8b", "qwen3-4b")
    with pytest.raises(ValueError, match="No closing quotation"):
        Settings(vllm_arguments="--served 'half")
