"""Folders of checkpoints: whole or not at all, and no byte of them unproven."""

import os
from pathlib import Path

import pytest

from worker.training import snapshot
from worker.training.snapshot import Damaged

CONTENT = {"state.json": b'{"position": {"step": 12}}', "state.safetensors": bytes(range(256)) * 40}


def fill(folder: Path) -> None:
    for name, data in CONTENT.items():
        (folder / name).write_bytes(data)


def write(folder: Path, step: int) -> snapshot.Snapshot:
    return snapshot.write(folder, step=step, belongs_to="this run", fill=fill)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_and_proven(tmp_path: Path) -> None:
    written = write(tmp_path, 12)
    found = snapshot.read(tmp_path / "step-00000012")
    assert found == written
    assert (found.step, found.belongs_to, found.num_bytes) == (12, "this run", sum(map(len, CONTENT.values())))
    assert names(tmp_path) == ["step-00000012"]


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        write(tmp_path, step)
    assert names(tmp_path) == ["step-00000015", "step-00000020"]
    assert [path.name for path in snapshot.newest_first(tmp_path)] == ["step-00000020", "step-00000015"]


@pytest.mark.parametrize("name", ["manifest.json", *CONTENT])
def test_any_flipped_bit_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path, 12)
    path = tmp_path / "step-00000012" / name
    good = path.read_bytes()
    for position in range(0, len(good), max(1, len(good) // 97)):
        for bit in (0, 5):
            spoiled = bytearray(good)
            spoiled[position] ^= 1 << bit
            path.write_bytes(spoiled)
            with pytest.raises(Damaged, match=name.replace(".", r"\.")):
                snapshot.read(path.parent)
    path.write_bytes(good)
    assert snapshot.read(path.parent).step == 12


@pytest.mark.parametrize("name", ["manifest.json", *CONTENT])
@pytest.mark.parametrize("num_bytes", [0, 10])
def test_a_cut_file_is_noticed(tmp_path: Path, name: str, num_bytes: int) -> None:
    write(tmp_path, 12)
    os.truncate(tmp_path / "step-00000012" / name, num_bytes)
    with pytest.raises(Damaged):
        snapshot.read(tmp_path / "step-00000012")


@pytest.mark.parametrize("name", ["manifest.json", *CONTENT])
def test_a_missing_file_is_noticed(tmp_path: Path, name: str) -> None:
    write(tmp_path, 12)
    (tmp_path / "step-00000012" / name).unlink()
    with pytest.raises(Damaged, match=name.replace(".", r"\.")):
        snapshot.read(tmp_path / "step-00000012")


def test_a_checkpoint_under_the_name_of_another_step_is_none(tmp_path: Path) -> None:
    write(tmp_path, 12)
    (tmp_path / "step-00000012").rename(tmp_path / "step-00000099")
    with pytest.raises(Damaged, match="that of step 12"):
        snapshot.read(tmp_path / "step-00000099")


@pytest.mark.parametrize("is_pipe", [True, False])
def test_a_manifest_that_is_no_file_is_not_opened(tmp_path: Path, *, is_pipe: bool) -> None:
    manifest = write(tmp_path, 12).path / snapshot.MANIFEST
    kept = manifest.rename(tmp_path / "elsewhere")
    if is_pipe:
        os.mkfifo(manifest)
    else:
        manifest.symlink_to(kept)
    with pytest.raises(Damaged, match="is no file"):
        snapshot.read(manifest.parent)


def test_a_link_is_no_file_of_a_checkpoint(tmp_path: Path) -> None:
    write(tmp_path, 12)
    path = tmp_path / "step-00000012" / "state.json"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="missing"):
        snapshot.read(tmp_path / "step-00000012")


def die_at(call: int) -> None:
    """In a child: end without any farewell at the given call to the disk, as SIGKILL and a power cut do."""
    num_calls = 0

    def counted(name: str) -> None:
        real = getattr(os, name)

        def maybe_die(*args: object, **kwargs: object) -> object:
            nonlocal num_calls
            num_calls += 1
            if num_calls == call:
                os._exit(9)
            return real(*args, **kwargs)

        setattr(os, name, maybe_die)

    for name in ("fsync", "rename", "mkdir", "open", "unlink", "rmdir"):
        counted(name)


def test_a_kill_at_any_call_to_the_disk_leaves_only_whole_checkpoints(tmp_path: Path) -> None:
    for step in (5, 10):
        write(tmp_path, step)
    seen: set[tuple[str, ...]] = set()
    for call in range(1, 100):
        child = os.fork()
        if child == 0:
            die_at(call)
            write(tmp_path, 15)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        whole = [path.name for path in snapshot.newest_first(tmp_path) if snapshot.read(path)]
        seen.add(tuple(whole))
        if os.waitstatus_to_exitcode(status) == 0:
            break
        # whatever was left of 15 is as if it had never been begun, or is whole
        assert whole[-1] in {"step-00000005", "step-00000010"}
        snapshot.remove(tmp_path / "step-00000015")
        write(tmp_path, 5)
        write(tmp_path, 10)
    else:
        pytest.fail("it never came to its end")
    assert call > 8
    assert seen >= {("step-00000010", "step-00000005"), ("step-00000015", "step-00000010")}
    assert names(tmp_path) == ["step-00000010", "step-00000015"]


def test_a_disk_that_fills_leaves_the_checkpoints_before_it_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, 5)

    def fill_up(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        snapshot.write(tmp_path, step=10, belongs_to="this run", fill=fill_up)
    assert names(tmp_path) == ["step-00000005"]
    assert snapshot.read(tmp_path / "step-00000005").step == 5
