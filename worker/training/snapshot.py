"""A checkpoint as a folder: it appears whole or not at all, and proves every byte before anything in it is read.

`step-00000012/manifest.json` names the other files with their sha256 and size and is written last, into a folder of
another name, which is renamed once all of it is on the disk. What a crash leaves is a `.partial-…` folder, which nobody
reads. The newest `KEPT` are kept.

Needs no ML library: the supervisor verifies and moves checkpoints that it could not load.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.kit.clock import utc_now
from core.kit.hashing import sha256_bytes, sha256_file

MANIFEST = "manifest.json"
# the newest may lie on a failing disk, or be cut by a crash of the machine itself; one more is insurance
KEPT = 2
_FORMAT = 1
_NAME = re.compile(r"step-(\d{8})")
_PARTIAL_PREFIX = ".partial-"
_MAX_MANIFEST_BYTES = 1 << 20


class Damaged(Exception):
    """What is wrong with a checkpoint, in words that follow "The checkpoint of step 12 is damaged:"."""


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    name: str
    sha256: str
    num_bytes: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A verified checkpoint."""

    path: Path
    step: int
    belongs_to: str
    created_at: datetime
    digest: str
    """sha256 of its manifest, which holds the sha256 of every other file."""
    files: tuple[SnapshotFile, ...]

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)


def name_of(step: int) -> str:
    return f"step-{step:08d}"


def step_of(name: str) -> int | None:
    """None if this is not the name of a checkpoint."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in `folder`, not yet verified."""
    return sorted((path for path in folder.glob("step-*") if step_of(path.name) is not None), reverse=True)


def write(folder: Path, *, step: int, belongs_to: str, fill: Callable[[Path], None]) -> Snapshot:
    """Have `fill` write the files into an empty folder, and make that folder the newest checkpoint.

    Whatever goes wrong leaves the checkpoints before it as they were, and nothing else.
    """
    partial = folder / f"{_PARTIAL_PREFIX}{step:08d}"
    try:
        remove_partial(folder)
        partial.mkdir(parents=True)
        fill(partial)
        files = [_described(path) for path in sorted(partial.iterdir())]
        for path in partial.iterdir():
            sync(path)
        manifest = _seal(
            {
                "format": _FORMAT,
                "step": step,
                "belongs_to": belongs_to,
                "created_at": utc_now().isoformat(),
                "files": {file.name: {"sha256": file.sha256, "bytes": file.num_bytes} for file in files},
            }
        )
        (partial / MANIFEST).write_bytes(manifest)
        sync(partial / MANIFEST)
        sync(partial)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    put_in_place(partial, folder / name_of(step))
    prune(folder)
    return parse(folder / name_of(step), manifest)


def put_in_place(partial: Path, final: Path) -> None:
    """Rename a complete folder to a checkpoint's name; one that was there was damaged, or of other data."""
    remove(final)
    partial.rename(final)
    sync(final.parent)


def read(path: Path) -> Snapshot:
    """The checkpoint at `path`, every byte of it compared with its manifest. Raises `Damaged`."""
    manifest = path / MANIFEST
    if manifest.is_symlink() or (manifest.exists() and not manifest.is_file()):
        raise Damaged(f"{MANIFEST} is no file")
    try:
        with manifest.open("rb") as stream:
            snapshot = parse(path, stream.read(_MAX_MANIFEST_BYTES))
        for file in snapshot.files:
            _check(path / file.name, file)
    except OSError as error:
        missing = Path(error.filename).name if error.filename else path.name
        raise Damaged(f"{missing} cannot be read ({error.strerror})") from error
    return snapshot


def parse(path: Path, manifest: bytes) -> Snapshot:
    """What a manifest promises. Raises `Damaged` for one that is not exactly as it was written."""
    body = _unseal(manifest)
    try:
        files = tuple(
            SnapshotFile(name, str(entry["sha256"]), int(entry["bytes"]))
            for name, entry in sorted(body["files"].items())
        )
        snapshot = Snapshot(
            path=path,
            step=int(body["step"]),
            belongs_to=str(body["belongs_to"]),
            created_at=datetime.fromisoformat(body["created_at"]),
            digest=sha256_bytes(manifest),
            files=files,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"{MANIFEST} is not a manifest of ours") from error
    if snapshot.step != step_of(path.name):
        raise Damaged(f"{MANIFEST} is that of step {snapshot.step}")
    if any(Path(file.name).name != file.name or file.name == MANIFEST for file in files):
        raise Damaged(f"{MANIFEST} names a file elsewhere")
    return snapshot


def prune(folder: Path) -> None:
    for old in newest_first(folder)[KEPT:]:
        remove(old)


def remove(path: Path) -> None:
    """Under another name first: one that was half removed must not pass for a damaged one."""
    if path.exists():
        removed = path.with_name(f"{_PARTIAL_PREFIX}removed")
        shutil.rmtree(removed, ignore_errors=True)
        path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def remove_partial(folder: Path) -> None:
    """What a process that was killed while it wrote has left."""
    for path in folder.glob(f"{_PARTIAL_PREFIX}*"):
        shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    """On the disk, not only in the page cache: what is renamed next must survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(path: Path) -> SnapshotFile:
    return SnapshotFile(path.name, sha256_file(path), path.stat().st_size)


def _check(path: Path, file: SnapshotFile) -> None:
    if path.is_symlink() or not path.is_file():
        raise Damaged(f"{file.name} is missing")
    num_bytes = path.stat().st_size
    if num_bytes != file.num_bytes:
        raise Damaged(f"{file.name} has {num_bytes} bytes instead of {file.num_bytes}")
    if sha256_file(path) != file.sha256:
        raise Damaged(f"{file.name} is not what was written (its sha256 differs)")


def _seal(body: dict[str, Any]) -> bytes:
    """JSON that also proves itself: the digest covers all the rest, and there is one way only to write it."""
    text = json.dumps(body, sort_keys=True)
    return json.dumps({"manifest": body, "sha256": hashlib.sha256(text.encode()).hexdigest()}, sort_keys=True).encode()


def _unseal(manifest: bytes) -> dict[str, Any]:
    try:
        body = json.loads(manifest)["manifest"]
        is_intact = isinstance(body, dict) and _seal(body) == manifest
    except (ValueError, KeyError, TypeError, RecursionError):
        is_intact = False
    if not is_intact:
        raise Damaged(f"{MANIFEST} is not what was written")
    return dict(body)
