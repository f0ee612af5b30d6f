import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from core.base_models import service as base_models
from core.config import Settings
from core.inference.types import AdapterFile, AdapterRef
from core.kit.hashing import sha256_bytes, sha256_file
from tests.worker.inference.tiny_models import load_adapter, make_adapter, make_home, make_prompt
from worker.inference.adapter_weights import AdapterWeights
from worker.inference.runtime import BaseRuntime, load_runtime


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two layers gain nothing from more, and threads that spin beside other tests are slow."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose default base model is the tiny one."""
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def base_folder(home: Path) -> Path:
    return home / "base_models" / base_models.default_base_model().id


@pytest.fixture(scope="session")
def adapter_folders(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        "red": make_adapter(base_folder, root / "red", seed=1),
        "blue": make_adapter(base_folder, root / "blue", seed=2, rank=8, rslora=True),
        "green": make_adapter(base_folder, root / "green", seed=3, dora=True),
        "violet": make_prompt(base_folder, root / "violet", seed=4),
    }


@pytest.fixture(scope="session")
def runtime(base_folder: Path) -> BaseRuntime:
    return load_runtime(base_folder, None)


@pytest.fixture(scope="session")
def adapters(runtime: BaseRuntime, adapter_folders: dict[str, Path]) -> dict[str, AdapterWeights]:
    return {name: load_adapter(runtime, folder) for name, folder in adapter_folders.items()}


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """Settings on the shared base model, with a cache of adapters for this test alone."""
    own = tmp_path / "home"
    own.mkdir()
    (own / "base_models").symlink_to(home / "base_models")
    return Settings(home=own, inference_token="secret-of-the-test")


@pytest.fixture
def adapter_ref(adapter_folders: dict[str, Path]) -> Callable[[str, str], AdapterRef]:
    """An adapter's reference whose files are read from `base_url/name/file`."""

    def build(name: str, base_url: str = "http://store.test") -> AdapterRef:
        files = tuple(
            AdapterFile(
                name=path.name,
                url=f"{base_url}/{name}/{path.name}",
                sha256=sha256_file(path),
                num_bytes=path.stat().st_size,
            )
            for path in sorted(adapter_folders[name].iterdir())
        )
        return AdapterRef(
            id=f"adp_{name}", digest=sha256_bytes(json.dumps([f.sha256 for f in files]).encode()), files=files
        )

    return build
