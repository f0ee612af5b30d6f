import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.base_models import service as base_models
from core.config import Settings
from core.errors import Invalid, NotFound, Unavailable
from core.inference.types import AdapterRef
from worker.inference.adapter_files import AdapterFiles
from worker.inference.lru_cache import LruCache
from worker.inference.residence import Adapters, BaseVariants
from worker.inference.runtime import BaseRuntime, VariantKey

DEFAULT = base_models.default_base_model().id


def test_the_least_recently_used_is_forgotten_by_size() -> None:
    cache: LruCache[str, str] = LruCache(max_size=6, size_of=len)
    for key in ("aa", "bb", "cc"):
        cache.get(key, lambda key=key: key)
    cache.get("aa", lambda: pytest.fail("it is kept"))
    cache.get("dd", lambda: "dd")
    assert [key for key, _ in cache.items()] == ["cc", "aa", "dd"]


def test_a_value_larger_than_the_cache_is_served_all_the_same() -> None:
    cache: LruCache[str, str] = LruCache(max_size=3, size_of=len)
    cache.get("small", lambda: "ab")
    assert cache.get("huge", lambda: "x" * 100) == "x" * 100
    assert [key for key, _ in cache.items()] == ["huge"]


def test_several_threads_load_a_value_once() -> None:
    cache: LruCache[str, object] = LruCache(max_size=9, size_of=lambda _: 1)
    loads = []
    gate = threading.Event()

    def load() -> object:
        loads.append(1)
        gate.wait(10)
        return object()

    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(cache.get("a", load))) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join(10)
    assert len(loads) == 1
    assert len(set(map(id, found))) == 1


def test_a_failed_load_is_tried_again() -> None:
    cache: LruCache[str, str] = LruCache(max_size=9, size_of=len)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: str(1 // 0))
    assert cache.get("a", lambda: "fine") == "fine"


def test_variants_are_loaded_when_wanted_and_forgotten_when_too_many(settings: Settings) -> None:
    variants = BaseVariants(settings, max_variants=1)
    plain = variants.get(VariantKey(DEFAULT))
    assert variants.get(VariantKey(DEFAULT)) is plain
    rounded = variants.get(VariantKey(DEFAULT, "nf4"))
    assert rounded is not plain
    assert [str(key) for key, _ in variants.loaded()] == [f"{DEFAULT}@nf4"]


def test_a_model_that_is_not_on_disk_says_how_to_get_it(settings: Settings) -> None:
    with pytest.raises(Unavailable, match=r"python -m worker\.base_models mistral-7b-instruct-v0\.3"):
        BaseVariants(settings).get(VariantKey("mistral-7b-instruct-v0.3"))
    with pytest.raises(NotFound):
        BaseVariants(settings).get(VariantKey("gpt-9"))


@pytest.fixture
def files(tmp_path: Path, adapter_folders: dict[str, Path]) -> AdapterFiles:
    def serve(request: httpx.Request) -> httpx.Response:
        _, name, file = request.url.path.split("/")
        return httpx.Response(200, content=(adapter_folders[name] / file).read_bytes())

    client = httpx.Client(transport=httpx.MockTransport(serve))
    return AdapterFiles(tmp_path / "cache", max_bytes=1 << 30, client=client)


def test_adapters_are_forgotten_by_bytes(
    files: AdapterFiles, runtime: BaseRuntime, adapter_ref: Callable[[str], AdapterRef]
) -> None:
    red, blue = adapter_ref("red"), adapter_ref("blue")
    key = VariantKey(DEFAULT)
    roomy = Adapters(files, max_bytes=2 << 30)
    weights = roomy.get(red, key, runtime)
    assert roomy.get(red, key, runtime) is weights
    tight = Adapters(files, max_bytes=weights.num_bytes)
    tight.get(red, key, runtime)
    tight.get(blue, key, runtime)
    assert [digest for digest, _ in tight.loaded()] == [blue.digest]


def test_a_refused_adapter_is_not_kept(
    files: AdapterFiles, runtime: BaseRuntime, adapter_ref: Callable[[str], AdapterRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = Adapters(files, max_bytes=2 << 30)
    monkeypatch.setattr(runtime, "linear_shapes", {"other": (1, 1)})
    with pytest.raises(Invalid):
        adapters.get(adapter_ref("red"), VariantKey(DEFAULT), runtime)
    assert adapters.loaded() == []
