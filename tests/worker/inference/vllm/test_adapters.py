"""Which adapters are loaded, whatever the engine does meanwhile."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.config import Settings
from core.errors import Invalid, RateLimited
from core.inference.types import AdapterRef
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_files import AdapterFiles
from worker.inference.adapter_weights import read_adapter_weights
from worker.inference.contract import CannotServe
from worker.inference.runtime import VariantKey
from worker.inference.vllm import plain
from worker.inference.vllm.adapters import LoadedAdapters, cannot_serve
from worker.inference.vllm.base import Base
from worker.inference.vllm.wire import EngineRefused

Ref = Callable[..., AdapterRef]


class Engine:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.refuses = False

    def load(self, name: str, folder: Path) -> None:
        if self.refuses:
            raise EngineRefused(500, f"no kernel for {folder}")
        assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
        self.said.append(("load", name))

    def unload(self, name: str) -> None:
        self.said.append(("unload", name))


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def loaded(engine: Engine, base_folder: Path, adapter_folders: dict[str, Path], settings: Settings) -> LoadedAdapters:
    root = adapter_folders["red"].parent
    store = httpx.MockTransport(lambda asked: httpx.Response(200, content=(root / asked.url.path[1:]).read_bytes()))
    files = AdapterFiles(settings.home / "cache", max_bytes=1 << 30, client=httpx.Client(transport=store))
    base = Base(base_folder, VariantKey("tiny"), hardware="cpu", max_context_tokens=0)
    return LoadedAdapters(base, files, settings.home / "loaded", engine, max_adapters=1, max_rank=8)


def test_the_one_not_asked_for_goes_and_comes_back(loaded: LoadedAdapters, engine: Engine, adapter_ref: Ref) -> None:
    red, blue = adapter_ref("red"), adapter_ref("blue")
    for one in (red, red, blue, red):
        loaded.acquire(one)()
    assert engine.said == [
        ("load", red.digest),
        ("unload", red.digest),
        ("load", blue.digest),
        ("unload", blue.digest),
        ("load", red.digest),
    ]
    assert loaded.digests == [red.digest]


def test_one_that_answers_is_not_taken_away(loaded: LoadedAdapters, adapter_ref: Ref) -> None:
    release = loaded.acquire(adapter_ref("red"))
    with pytest.raises(RateLimited) as refused:
        loaded.acquire(adapter_ref("blue"))
    assert refused.value.error_code == "adapters_busy"
    release()
    loaded.acquire(adapter_ref("blue"))()


def test_how_they_were_had_is_counted(loaded: LoadedAdapters, adapter_ref: Ref) -> None:
    for name in ("red", "red", "blue"):
        loaded.acquire(adapter_ref(name))()
    use = loaded.use
    assert (use.hits, use.misses, use.evictions, use.num_bytes) == (1, 2, 1, None)
    assert min(use.fetch_s, use.load_s) > 0


def test_another_engine_knows_none_of_them(loaded: LoadedAdapters, engine: Engine, adapter_ref: Ref) -> None:
    release = loaded.acquire(adapter_ref("red"))
    loaded.begin(engine.load)
    assert loaded.digests == []
    release()  # of the one before
    loaded.acquire(adapter_ref("red"))()
    red = adapter_ref("red").digest
    assert engine.said == [("load", red), ("load", "plain"), ("load", red)]


def test_the_plain_base_is_an_adapter_of_zeros_on_a_processor_alone(
    loaded: LoadedAdapters, engine: Engine, base_folder: Path, tmp_path: Path
) -> None:
    key = VariantKey("tiny")
    on_cpu, on_gpu = (Base(base_folder, key, hardware=one, max_context_tokens=0) for one in ("cpu", "gpu:h100"))
    assert (plain.name_of_plain(on_cpu), plain.name_of_plain(on_gpu)) == ("plain", "base")
    folder = plain.write_adapter(on_cpu, tmp_path / "plain")
    config = parse_adapter_config((folder / "adapter_config.json").read_bytes())
    weights = (folder / "adapter_model.safetensors").read_bytes()
    (pair,) = read_adapter_weights(weights, config, digest="plain", base=on_cpu).pairs.values()
    assert not pair.down.any()
    assert not pair.up.any()


def test_the_engine_reads_a_configuration_that_we_wrote(
    loaded: LoadedAdapters, adapter_ref: Ref, settings: Settings
) -> None:
    blue = adapter_ref("blue")
    loaded.acquire(blue)()
    written = json.loads((settings.home / "loaded" / blue.digest / "adapter_config.json").read_text())
    assert written.keys() == {
        "peft_type", "task_type", "bias", "use_dora", "r", "lora_alpha", "target_modules", "use_rslora",
    }  # fmt: skip
    assert (written["r"], written["lora_alpha"], written["use_rslora"]) == (8, 16, True)


def test_what_the_engine_refuses_is_told_without_its_words(
    loaded: LoadedAdapters, engine: Engine, adapter_ref: Ref, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuses = True
    with pytest.raises(CannotServe) as refused:
        loaded.acquire(adapter_ref("red"))
    assert "no kernel" not in refused.value.message
    assert "no kernel" in caplog.text
    engine.refuses = False
    loaded.acquire(adapter_ref("red"))()


def test_weights_of_another_base_are_refused_here_too(
    loaded: LoadedAdapters, engine: Engine, adapter_ref: Ref, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded._base, "linear_shapes", {"model.layers.0.mlp.up_proj": (3, 3)})
    with pytest.raises(Invalid) as refused:
        loaded.acquire(adapter_ref("red"))
    assert refused.value.error_code == "adapter_invalid"
    assert not engine.said


@pytest.mark.parametrize(("name", "reason"), [("green", "DoRA"), ("violet", "learned prompt"), ("red", None)])
def test_kinds_that_vllm_does_not_have_are_known(
    adapter_folders: dict[str, Path], name: str, reason: str | None
) -> None:
    config = parse_adapter_config((adapter_folders[name] / "adapter_config.json").read_bytes())
    found = cannot_serve(config, max_rank=8)
    assert (found is None) if reason is None else (reason in (found or ""))
    if reason is None:
        assert "rank is 4" in (cannot_serve(config, max_rank=2) or "")
