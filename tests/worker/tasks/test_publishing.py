import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.backends.blobs import MemoryBlobStore
from core.errors import Conflict, Unavailable
from worker.tasks.publishing import finished, publish

CONTENT = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    files = {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in CONTENT.items()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    return tmp_path


def test_every_promised_file_is_there_before_the_manifest(folder: Path) -> None:
    order: list[str] = []

    class Store(MemoryBlobStore):
        def put_file(self, key: str, path: Path) -> None:
            order.append(key)
            super().put_file(key, path)

        def put_bytes(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
            order.append(key)
            assert if_absent
            super().put_bytes(key, data, if_absent=if_absent)

    published = publish(Store(), folder, "p")
    assert order == ["p/adapter_config.json", "p/adapter_model.safetensors", "p/manifest.json"]
    assert {file.name: file.num_bytes for file in published.files} == {
        name: len(data) for name, data in CONTENT.items()
    }
    assert published.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


def test_a_file_that_changed_on_disk_is_not_published(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"other")
    store = MemoryBlobStore()
    with pytest.raises(Unavailable):
        publish(store, folder, "p")
    assert "p/manifest.json" not in store.objects


def test_a_file_that_arrived_damaged_gets_no_manifest(folder: Path) -> None:
    class Lossy(MemoryBlobStore):
        def put_file(self, key: str, path: Path) -> None:
            self.objects[key] = path.read_bytes()[:-1]

    store = Lossy()
    with pytest.raises(Unavailable):
        publish(store, folder, "p")
    assert "p/manifest.json" not in store.objects


@pytest.mark.parametrize("num_spoiled", [2, 99])
def test_what_comes_back_spoiled_is_read_again_before_it_is_believed(folder: Path, num_spoiled: int) -> None:
    is_published = num_spoiled == 2

    class Spoiling(MemoryBlobStore):
        left = num_spoiled

        def read_chunks(self, key: str) -> Iterator[bytes]:
            self.left -= 1
            yield b"spoiled" if self.left >= 0 else self.objects[key]

    store = Spoiling()
    if is_published:
        publish(store, folder, "p")
    else:
        with pytest.raises(Unavailable) as refused:
            publish(store, folder, "p")
        assert refused.value.error_code == "adapter_damaged"
    assert ("p/manifest.json" in store.objects) == is_published


def test_a_repeated_put_meets_its_own_manifest_and_no_other(folder: Path) -> None:
    store = MemoryBlobStore()
    publish(store, folder, "p")
    publish(store, folder, "p")
    store.objects["p/manifest.json"] = b"another attempt's"
    with pytest.raises(Conflict):
        publish(store, folder, "p")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "manifest.json"])
def test_a_manifest_cannot_name_a_file_elsewhere(folder: Path, name: str) -> None:
    (folder / "manifest.json").write_text(json.dumps({"files": {name: {"sha256": "0" * 64}}}))
    store = MemoryBlobStore()
    with pytest.raises(Unavailable):
        publish(store, folder, "p")
    assert store.objects == {}


@pytest.mark.parametrize("name", ["manifest.json", "adapter_config.json"])
@pytest.mark.parametrize("is_pipe", [True, False])
def test_what_is_no_file_is_neither_read_nor_published(
    folder: Path, tmp_path: Path, name: str, *, is_pipe: bool
) -> None:
    kept = (folder / name).rename(tmp_path / "elsewhere")
    if is_pipe:
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(kept)
    store = MemoryBlobStore()
    assert finished(folder) is None
    with pytest.raises(Unavailable):
        publish(store, folder, "p")
    assert store.objects == {}


def test_a_manifest_without_end_is_not_read(folder: Path) -> None:
    os.truncate(folder / "manifest.json", 1 << 40)
    assert finished(folder) is None
    with pytest.raises(Unavailable):
        publish(MemoryBlobStore(), folder, "p")
