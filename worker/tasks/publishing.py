"""An adapter from a run folder into the object store: whole, verified, and visible only when it is both.

Order: check against the manifest, sync to disk, upload, read back, and the manifest last and only if there is none.
Who finds a manifest finds every file it names. A store that is away is waited for: the training is done, and is never
done again for want of a place to put it.
"""

import json
from pathlib import Path
from typing import Any

from core.adapters.service import AdapterFile
from core.backends.blobs import BlobStore
from core.errors import Unavailable
from core.jobs.types import Lease
from core.kit.hashing import sha256_bytes, sha256_file
from core.training.execution import Published
from worker.context import WorkContext
from worker.supervise import ChildResult
from worker.tasks import verified_store
from worker.tasks.patience import patiently
from worker.training import snapshot

MANIFEST = "manifest.json"
_MAX_MANIFEST_BYTES = 1 << 20
# the child is not trusted: it could write thousands
_MAX_EPOCHS = 3
# under the lease; then the job is given back, waits longer each time, and goes on here with the same adapter
_PATIENCE_S = 30 * 60


def key_prefix(lease: Lease, run_id: str) -> str:
    """Its own for every attempt, so that a worker that lost its lease overwrites nothing."""
    return f"workspaces/{lease.workspace_id}/runs/{run_id}/a{lease.attempt}"


def publish_patiently(context: WorkContext, folder: Path, prefix: str, so_far: ChildResult) -> Published:
    """`publish`, for as long as it takes within half an hour. Raises `ChildStopped` when it has to stop before."""
    return patiently(
        context,
        lambda: publish(context.backends.blobs, folder, prefix),
        what="publishing",
        for_s=_PATIENCE_S,
        so_far=so_far,
    )


def publish_epochs(context: WorkContext, folder: Path, prefix: str, so_far: ChildResult) -> list[tuple[int, Published]]:
    """The adapters of the last epochs with their steps, each below the prefix of the one that is shipped.

    As many as there are and are whole: the run is good without them.
    """
    found = []
    for path in snapshot.newest_first(folder)[:_MAX_EPOCHS]:
        step = snapshot.step_of(path.name) or 0
        if finished(path) is not None:
            found.append((step, publish_patiently(context, path, f"{prefix}/ckpt-step-{step}", so_far)))
    return found


def finished(folder: Path) -> dict[str, Any] | None:
    """What the manifest of a whole adapter in `folder` says; None if there is none, or it is damaged."""
    try:
        manifest = _manifest(folder)
        is_whole = all(sha256_file(_file(folder, name)) == sha256 for name, sha256 in _promised(manifest).items())
        said: dict[str, Any] = json.loads(manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Unavailable):
        return None
    return said if is_whole and isinstance(said.get("results"), dict) else None


def publish(blobs: BlobStore, folder: Path, prefix: str) -> Published:
    """Upload the adapter in `folder`. Raises `Unavailable` if what arrived is not what was sent."""
    manifest = _manifest(folder)
    promised = _promised(manifest)
    files = []
    for name in sorted(promised):
        path = _file(folder, name)
        sha256 = sha256_file(path)
        if sha256 != promised[name]:
            raise Unavailable(f"{name} changed on disk after it was written.", code="adapter_damaged")
        snapshot.sync(path)
        key = f"{prefix}/{name}"
        verified_store.put_verified(blobs, key, path, sha256)
        files.append(AdapterFile(name=name, key=key, sha256=sha256, num_bytes=path.stat().st_size))
    verified_store.put_manifest(blobs, f"{prefix}/{MANIFEST}", manifest)
    return Published(key_prefix=prefix, digest=sha256_bytes(manifest), files=files)


def _manifest(folder: Path) -> bytes:
    with _file(folder, MANIFEST).open("rb") as stream:
        manifest = stream.read(_MAX_MANIFEST_BYTES + 1)
    if len(manifest) > _MAX_MANIFEST_BYTES:
        raise Unavailable("The adapter's manifest is too large.", code="adapter_damaged")
    return manifest


def _file(folder: Path, name: str) -> Path:
    """The child is not trusted: a pipe would keep its reader for ever, and a link leads elsewhere."""
    path = folder / name
    if path.is_symlink() or not path.is_file():
        raise Unavailable(f"{name} is no file of the adapter.", code="adapter_damaged")
    return path


def _promised(manifest: bytes) -> dict[str, str]:
    """sha256 by file name."""
    files: dict[str, Any] = json.loads(manifest)["files"]
    strange = [name for name in files if Path(name).name != name or name == MANIFEST]
    if strange:
        # the child is not trusted: a name with a path in it would publish what lies elsewhere on this machine
        raise Unavailable(f"The adapter's manifest names {strange[0]!r}.", code="adapter_damaged")
    return {name: str(entry["sha256"]) for name, entry in files.items()}
