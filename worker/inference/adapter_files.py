"""Adapter files on this machine's disk: fetched once by presigned URL, verified by sha256, kept by digest.

What is read from disk is verified again each time, so a damaged cache heals itself by a new download.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from core.errors import Invalid, Unavailable
from core.inference.types import AdapterFile, AdapterRef
from core.kit.hashing import sha256_bytes
from worker.training import parity

logger = logging.getLogger(__name__)

CONFIG_NAME: Final = "adapter_config.json"
WEIGHTS_NAME: Final = "adapter_model.safetensors"
_WHOLE_MODEL_NAME: Final = "model.safetensors"
_MAX_BYTES: Final = {CONFIG_NAME: 1 << 20, WEIGHTS_NAME: 4 << 30, parity.NAME: 16 << 20}
# what an adapter can be served without
_OPTIONAL: Final = frozenset({parity.NAME})


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    used_s: float
    num_bytes: int


class AdapterFiles:
    """A folder per digest. Safe for several threads and processes: a folder appears by rename, whole."""

    def __init__(self, folder: Path, *, max_bytes: int, client: httpx.Client) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._client = client

    def read(self, adapter: AdapterRef) -> Mapping[str, bytes]:
        """Its files by name. Raises `Invalid` for a bad reference, `Unavailable` if they cannot be had."""
        wanted = _wanted(adapter)
        target = self._folder / adapter.digest
        found = _read_verified(target, wanted)
        if found is None:
            found = {name: self._download(file) for name, file in wanted.items()}
            self._keep(target, found)
        else:
            target.touch()
        return found

    def _download(self, file: AdapterFile) -> bytes:
        content = bytearray()
        try:
            with self._client.stream("GET", file.url) as response:
                if response.status_code != httpx.codes.OK:
                    raise _unavailable(f"the object store answered {response.status_code} for {file.name}")
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > file.num_bytes:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _unavailable(f"{file.name} could not be read from the object store") from error
        data = bytes(content)
        if len(data) != file.num_bytes or sha256_bytes(data) != file.sha256:
            raise Unavailable(
                f"The adapter's file {file.name} arrived damaged and was thrown away. Try again; if it stays so, the "
                "stored adapter is broken and the run must be repeated.",
                code="adapter_corrupted",
            )
        return data

    def _keep(self, target: Path, files: Mapping[str, bytes]) -> None:
        """Best effort: a full disk costs the next download, not this answer."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(sum(map(len, files.values())))
            building = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
            try:
                for name, data in files.items():
                    (building / name).write_bytes(data)
                shutil.rmtree(target, ignore_errors=True)
                building.rename(target)
            finally:
                shutil.rmtree(building, ignore_errors=True)
        except OSError as error:
            logger.warning("an adapter could not be kept on disk: %s", error)

    def _make_room(self, num_bytes: int) -> None:
        kept = sorted(filter(None, map(_kept, self._folder.iterdir())), key=lambda one: one.used_s)
        excess = sum(one.num_bytes for one in kept) + num_bytes - self._max_bytes
        for one in kept:
            if excess <= 0:
                return
            shutil.rmtree(one.path, ignore_errors=True)
            excess -= one.num_bytes


def _kept(path: Path) -> _Kept | None:
    """None for what another thread or process took away or renamed meanwhile."""
    try:
        return _Kept(path, path.stat().st_mtime, sum(file.stat().st_size for file in path.iterdir()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def reference_of(files: Mapping[str, bytes]) -> bytes:
    """What its trainer wrote down to compare with. Raises `Invalid` (`proof_missing`) where it wrote nothing."""
    found = files.get(parity.NAME)
    if found is None:
        raise Invalid(
            "This model was made before its trainer wrote down what to compare with, so there is nothing to check.",
            code="proof_missing",
            param="model",
        )
    return found


def _wanted(adapter: AdapterRef) -> dict[str, AdapterFile]:
    # by exact name: what else an adapter carries (its manifest) is not needed to serve it
    wanted = {file.name: file for file in adapter.files if file.name in _MAX_BYTES}
    if not wanted and any(file.name == _WHOLE_MODEL_NAME for file in adapter.files):
        raise Invalid(
            "Full fine-tuning made a model of its own, and only adapters are served here. Download it, and load its "
            "folder with transformers or any model server.",
            code="adapter_unsupported",
            param="model",
        )
    if missing := sorted(set(_MAX_BYTES) - _OPTIONAL - set(wanted)):
        raise Invalid(
            f"The adapter {adapter.id} lacks {' or '.join(missing)}.",
            code="adapter_incomplete",
            param="model",
        )
    for file in wanted.values():
        if file.num_bytes > _MAX_BYTES[file.name]:
            raise Invalid(f"The adapter's file {file.name} is too large.", code="adapter_too_large", param="model")
        if not file.url.startswith(("http://", "https://")):
            raise Invalid(f"The address of {file.name} is not a web address.", code="adapter_incomplete", param="model")
    return wanted


def _read_verified(folder: Path, wanted: Mapping[str, AdapterFile]) -> dict[str, bytes] | None:
    try:
        found = {name: (folder / name).read_bytes() for name in wanted}
    except OSError:
        return None
    return found if all(sha256_bytes(data) == wanted[name].sha256 for name, data in found.items()) else None


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(f"The adapter cannot be loaded: {reason}. Try again in a moment.", code="adapter_unreachable")
