"""What base models may take, what one needs, and that the memory of one that is evicted is given back."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import torch

from core.base_models import service as base_models
from core.config import Settings
from core.errors import NotFound, RateLimited
from core.inference.types import AdapterRef, ChatRequest, DeltaLine, DoneLine, ErrorLine, StreamLine
from tests.factories.waiting import eventually
from tests.worker.inference.tiny_models import chat_request
from worker import memory
from worker.inference.base_memory import budget_of, need_of
from worker.inference.runtime import BaseRuntime, VariantKey
from worker.inference.service import InferenceService

DEADLINE_S = 60
DEFAULT = base_models.default_base_model().id
GIB = 1 << 30


def test_the_need_is_known_before_anything_is_read(base_folder: Path, runtime: BaseRuntime) -> None:
    weights = sum(parameter.nbytes for parameter in runtime._model.parameters())
    assert need_of(base_folder, max_prefix_bytes=0) == weights
    assert need_of(base_folder, max_prefix_bytes=1000) == weights + 1000


def test_without_a_setting_half_of_the_memory_less_that_of_adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(memory, "total_bytes", lambda: 16 * GIB)
    assert budget_of(Settings()) == 6 * GIB
    assert budget_of(Settings(max_base_model_bytes=5)) == 5
    # on a small machine adapters do not take it all
    monkeypatch.setattr(memory, "total_bytes", lambda: 4 * GIB)
    assert budget_of(Settings()) == GIB


def test_on_a_gpu_what_vllm_takes_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        total_memory = 80 * GIB

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Card())
    assert budget_of(Settings()) == 62 * GIB
    shared = Settings(vllm_base_models="qwen3-8b", vllm_gpu_memory=0.5)
    assert budget_of(shared) == pytest.approx(22 * GIB, abs=10)
    assert 0 < budget_of(Settings(vllm_base_models="qwen3-8b")) < 11 * GIB


@pytest.mark.parametrize(("text", "total"), [("1048576\n", 1 << 20), ("max\n", None), ("9223372036854771712\n", None)])
def test_a_container_has_what_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, total: int | None
) -> None:
    group = tmp_path / "group"
    (group / "of" / "ours").mkdir(parents=True)
    (group / "of" / "ours" / "memory.max").write_text(text)
    own = tmp_path / "own"
    own.write_text("0::/of/ours\n")
    monkeypatch.setattr(memory, "_OWN_GROUPS", own)
    monkeypatch.setattr(memory, "_GROUPS", group)
    whole = memory.psutil.virtual_memory().total
    assert memory.total_bytes() == (total or whole)


@pytest.fixture
def service(settings: Settings, base_folder: Path, adapter_folders: dict[str, Path]) -> Iterator[InferenceService]:
    """With room for one variant of the tiny base model."""

    def serve(request: httpx.Request) -> httpx.Response:
        _, name, file = request.url.path.split("/")
        return httpx.Response(200, content=(adapter_folders[name] / file).read_bytes())

    need = need_of(base_folder, max_prefix_bytes=settings.max_prefix_bytes)
    service = InferenceService(settings.model_copy(update={"max_base_model_bytes": need}))
    service._adapters._files._client = httpx.Client(transport=httpx.MockTransport(serve))
    service.start()
    eventually(lambda: service.health().status == "ready")
    yield service
    service.stop()


class Reader:
    """Reads an answer, and can keep it from going on after its first words."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.has_begun = threading.Event()
        self._may_go_on = threading.Event()
        self._last: list[StreamLine] = []
        self._is_over = threading.Event()
        if not is_held:
            self._may_go_on.set()

    def __call__(self, line: StreamLine) -> None:
        if isinstance(line, DeltaLine):
            self.has_begun.set()
            assert self._may_go_on.wait(DEADLINE_S)
        elif isinstance(line, DoneLine | ErrorLine):
            self._last.append(line)
            self._is_over.set()

    def let_go(self) -> None:
        self._may_go_on.set()

    def last(self) -> StreamLine:
        assert self._is_over.wait(DEADLINE_S)
        return self._last[0]


def rounded(request: ChatRequest) -> ChatRequest:
    return request.model_copy(update={"quantization": "nf4"})


def test_one_that_answers_is_not_evicted_and_is_once_it_is_done(
    service: InferenceService, adapter_ref: Callable[[str], AdapterRef]
) -> None:
    service._variants._patience_s = 0
    answer = Reader(is_held=True)
    service.generate(chat_request(adapter=adapter_ref("red")), answer)
    assert answer.has_begun.wait(DEADLINE_S)
    with pytest.raises(RateLimited, match="no room") as caught:
        service.generate(rounded(chat_request()), Reader())
    assert caught.value.error_code == "bases_busy"
    answer.let_go()
    assert isinstance(answer.last(), DoneLine)
    service._variants._patience_s = DEADLINE_S
    other = Reader()
    service.generate(rounded(chat_request()), other)
    assert isinstance(other.last(), DoneLine)
    assert service.health().base_models == (f"{DEFAULT}@nf4",)


def test_an_evicted_base_gives_its_memory_back_with_all_that_was_loaded_for_it(
    service: InferenceService, adapter_ref: Callable[[str], AdapterRef]
) -> None:
    answer = Reader()
    # who still reads its answer keeps no base in memory
    cancel = service.generate(chat_request(adapter=adapter_ref("red")), answer).cancel
    assert isinstance(answer.last(), DoneLine)
    (runtime,) = [runtime for _, runtime in service._variants.loaded()]
    # as models may refer to themselves somewhere
    vars(runtime)["cycle"] = runtime
    (weights,) = [weights for _, weights in service._adapters._cache.items()]
    gone = [
        weakref.ref(runtime),
        weakref.ref(next(iter(runtime._model.parameters()))),
        weakref.ref(runtime.prefixes),
        weakref.ref(next(iter(weights.pairs.values())).down),
    ]
    del runtime, weights
    other = Reader()
    service.generate(rounded(chat_request()), other)
    assert isinstance(other.last(), DoneLine)
    assert service.health().adapters == ()
    assert [one() for one in gone] == [None] * 4
    cancel()


def test_while_another_base_is_read_the_service_has_not_failed(service: InferenceService) -> None:
    """Its only base has just been evicted for it."""
    reading, may_end = threading.Event(), threading.Event()
    released = service._variants._on_evicted

    def hold(key: VariantKey) -> None:
        released(key)
        reading.set()
        assert may_end.wait(DEADLINE_S)

    service._variants._on_evicted = hold
    answer = Reader()
    asking = threading.Thread(target=service.generate, args=(rounded(chat_request()), answer))
    asking.start()
    assert reading.wait(DEADLINE_S)
    assert (service.health().status, service.health().base_models) == ("ready", ())
    may_end.set()
    assert isinstance(answer.last(), DoneLine)
    asking.join(DEADLINE_S)


def test_pinned_bases_are_there_from_the_start(settings: Settings) -> None:
    service = InferenceService(settings.model_copy(update={"pinned_base_models": f"{DEFAULT}@nf4"}))
    service.start()
    eventually(lambda: service.health().base_models == (DEFAULT, f"{DEFAULT}@nf4"))
    service.stop()


def test_a_pinned_base_that_cannot_be_loaded_is_told(settings: Settings) -> None:
    service = InferenceService(settings.model_copy(update={"pinned_base_models": "qwen3-8b"}))
    service.start()
    eventually(lambda: service.health().problem)
    assert "worker.base_models qwen3-8b" in (service.health().problem or "")
    assert service.health().status == "ready"
    service.stop()
    with pytest.raises(NotFound):
        InferenceService(settings.model_copy(update={"pinned_base_models": "gpt-9"}))


def test_what_the_scheduler_is_done_with_it_does_not_hold(service: InferenceService) -> None:
    answer = Reader()
    service.generate(chat_request(), answer)
    assert isinstance(answer.last(), DoneLine)
    eventually(lambda: not service._scheduler._lanes)
    (gone,) = [weakref.ref(one.runtime) for one in service._variants._resident.values()]
    service._variants._resident.clear()

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    eventually(is_gone)
