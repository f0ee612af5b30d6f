"""An adapter from a run folder into the object store: whole, verified, and visible only when it is both.

Order: check against the manifest, sync to disk, upload, read back, and the manifest last and only if there is none.
Who finds a manifest finds every file it names.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from core.adapters.service import AdapterFile
from core.backends.blobs import BlobStore
from core.errors import Conflict, Unavailable
from core.jobs.types import Lease
from core.kit.hashing import sha256_bytes, sha256_file
from core.training.execution import Published

MANIFEST = "manifest.json"


def key_prefix(lease: Lease, run_id: str) -> str:
    """Its own for every attempt, so that a worker that lost its lease overwrites nothing."""
    return f"workspaces/{lease.workspace_id}/runs/{run_id}/a{lease.attempt}"


def publish(blobs: BlobStore, folder: Path, prefix: str) -> Published:
    """Upload the adapter in `folder`. Raises `Unavailable` if what arrived is not what was sent."""
    manifest = (folder / MANIFEST).read_bytes()
    promised = _promised(manifest)
    files = []
    for name in sorted(promised):
        path = folder / name
        sha256 = sha256_file(path)
        if sha256 != promised[name]:
            raise Unavailable(f"{name} changed on disk after it was written.", code="adapter_damaged")
        _sync(path)
        key = f"{prefix}/{name}"
        blobs.put_file(key, path)
        _verify(blobs, key, sha256)
        files.append(AdapterFile(name=name, key=key, sha256=sha256, num_bytes=path.stat().st_size))
    _put_manifest(blobs, f"{prefix}/{MANIFEST}", manifest)
    return Published(key_prefix=prefix, digest=sha256_bytes(manifest), files=files)


def _promised(manifest: bytes) -> dict[str, str]:
    """sha256 by file name."""
    files: dict[str, Any] = json.loads(manifest)["files"]
    strange = [name for name in files if Path(name).name != name or name == MANIFEST]
    if strange:
        # the child is not trusted: a name with a path in it would publish what lies elsewhere on this machine
        raise Unavailable(f"The adapter's manifest names {strange[0]!r}.", code="adapter_damaged")
    return {name: str(entry["sha256"]) for name, entry in files.items()}


def _put_manifest(blobs: BlobStore, key: str, manifest: bytes) -> None:
    try:
        blobs.put_bytes(key, manifest, if_absent=True)
    except Conflict:
        # the client repeats a put whose answer was lost, and then meets its own object
        if blobs.read_bytes(key) != manifest:
            raise


def _verify(blobs: BlobStore, key: str, sha256: str) -> None:
    digest = hashlib.sha256()
    for chunk in blobs.read_chunks(key):
        digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise Unavailable(f"{key} arrived damaged.", code="adapter_damaged")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
