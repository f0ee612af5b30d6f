import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from core.errors import Invalid, Unavailable
from core.inference.types import AdapterRef
from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME, AdapterFiles

MakeRef = Callable[..., AdapterRef]


class Store:
    """An object store of the adapters on disk, which counts what is read and can spoil it."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders
        self.num_reads = 0
        self.spoil: Callable[[bytes], bytes] = lambda data: data
        self.status = 200

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.num_reads += 1
        _, name, file = request.url.path.split("/")
        return httpx.Response(self.status, content=self.spoil((self._folders[name] / file).read_bytes()))


@pytest.fixture
def store(adapter_folders: dict[str, Path]) -> Store:
    return Store(adapter_folders)


def files_at(folder: Path, store: Store, max_bytes: int = 1 << 30) -> AdapterFiles:
    return AdapterFiles(folder, max_bytes=max_bytes, client=httpx.Client(transport=httpx.MockTransport(store)))


def test_files_are_downloaded_once_and_then_read_from_disk(
    tmp_path: Path, store: Store, adapter_ref: MakeRef, adapter_folders: dict[str, Path]
) -> None:
    found = files_at(tmp_path, store).read(adapter_ref("red"))
    assert found[WEIGHTS_NAME] == (adapter_folders["red"] / WEIGHTS_NAME).read_bytes()
    assert store.num_reads == 2  # the README and the manifest are not needed
    assert files_at(tmp_path, store).read(adapter_ref("red")) == found
    assert store.num_reads == 2


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"\0" + data[1:], lambda data: data[:0]],
    ids=["short", "long", "changed", "empty"],
)
def test_a_damaged_download_is_refused_and_not_kept(
    tmp_path: Path, store: Store, adapter_ref: MakeRef, spoil: Callable[[bytes], bytes]
) -> None:
    store.spoil = spoil
    with pytest.raises(Unavailable) as refused:
        files_at(tmp_path, store).read(adapter_ref("red"))
    assert refused.value.error_code == "adapter_corrupted"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_heals_itself(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    ref = adapter_ref("red")
    found = files_at(tmp_path, store).read(ref)
    (tmp_path / ref.digest / CONFIG_NAME).write_text("{}")
    assert files_at(tmp_path, store).read(ref) == found
    assert (tmp_path / ref.digest / CONFIG_NAME).read_bytes() == found[CONFIG_NAME]


def test_the_disk_forgets_the_least_recently_used(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    red, blue = adapter_ref("red"), adapter_ref("blue")
    sizes = {
        ref.digest: sum(f.num_bytes for f in ref.files if f.name in {CONFIG_NAME, WEIGHTS_NAME}) for ref in (red, blue)
    }
    files = files_at(tmp_path, store, max_bytes=sum(sizes.values()) - 1)
    files.read(red)
    os.utime(tmp_path / red.digest, (1, 1))
    files.read(blue)
    assert [path.name for path in tmp_path.iterdir()] == [blue.digest]


def test_what_another_process_took_away_meanwhile_does_not_hinder(
    tmp_path: Path, store: Store, adapter_ref: MakeRef
) -> None:
    (tmp_path / ".new-renamed").symlink_to(tmp_path / "gone")  # listed, and not there when it is looked at
    red = adapter_ref("red")
    files_at(tmp_path, store).read(red)
    assert (tmp_path / red.digest).is_dir()


def test_a_store_that_does_not_answer_is_said_so(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    store.status = 403
    with pytest.raises(Unavailable, match="403"):
        files_at(tmp_path, store).read(adapter_ref("red"))


def test_a_reference_without_weights_is_refused(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    ref = adapter_ref("red")
    lacking = ref.model_copy(update={"files": tuple(f for f in ref.files if f.name != WEIGHTS_NAME)})
    with pytest.raises(Invalid, match=WEIGHTS_NAME):
        files_at(tmp_path, store).read(lacking)


def test_a_local_path_is_not_an_address(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    with pytest.raises(Invalid, match="web address"):
        files_at(tmp_path, store).read(adapter_ref("red", "file:///etc"))


def test_a_whole_model_is_refused_as_what_it_is(tmp_path: Path, store: Store, adapter_ref: MakeRef) -> None:
    adapter = adapter_ref("red")
    [weights] = [file for file in adapter.files if file.name == WEIGHTS_NAME]
    whole = adapter.model_copy(update={"files": (weights.model_copy(update={"name": "model.safetensors"}),)})
    with pytest.raises(Invalid, match="Full fine-tuning") as refused:
        files_at(tmp_path, store).read(whole)
    assert refused.value.error_code == "adapter_unsupported"
    assert store.num_reads == 0
