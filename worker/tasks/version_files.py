"""A version into the object store: every row as Parquet, and last, once all of it is there, what it is."""

import json
from pathlib import Path
from typing import Any

from core.datasets.artifacts import ArtifactFile, VersionArtifact, key_prefix
from core.datasets.ingest_files import PARQUET_NAME
from core.datasets.models import DatasetVersion
from core.jobs.types import Lease
from core.kit.hashing import sha256_bytes, sha256_file
from worker.context import WorkContext
from worker.tasks import verified_store

MANIFEST = "manifest.json"
_FORMAT = 1


def publish(
    context: WorkContext, lease: Lease, version: DatasetVersion, figures: dict[str, Any], folder: Path
) -> VersionArtifact:
    """Upload the rows of `folder`. Raises `Unavailable` if what arrived is not what was sent."""
    path = folder / PARQUET_NAME
    key = f"{_prefix(lease, version)}{PARQUET_NAME}"
    sha256 = sha256_file(path)
    verified_store.put_verified(context.backends.blobs, key, path, sha256)
    files = [ArtifactFile(name=PARQUET_NAME, key=key, sha256=sha256, num_bytes=path.stat().st_size)]
    return describe(context, lease, version, figures, files)


def describe(
    context: WorkContext, lease: Lease, version: DatasetVersion, figures: dict[str, Any], files: list[ArtifactFile]
) -> VersionArtifact:
    """Write the manifest of files that are there."""
    manifest = _manifest(version, figures, files)
    key = f"{_prefix(lease, version)}{MANIFEST}"
    verified_store.put_manifest(context.backends.blobs, key, manifest)
    return VersionArtifact(manifest_key=key, manifest_sha256=sha256_bytes(manifest), files=files)


def _prefix(lease: Lease, version: DatasetVersion) -> str:
    """Its own for every attempt, so that a worker that lost its lease overwrites nothing."""
    # another job than the one that made it writes it anew
    job = "" if lease.job_id == version.job_id else f"{lease.job_id}-"
    return f"{key_prefix(lease.workspace_id, version.dataset_id, version.id)}{job}a{lease.attempt}/"


def _manifest(version: DatasetVersion, figures: dict[str, Any], files: list[ArtifactFile]) -> bytes:
    said = {
        "format": _FORMAT,
        "dataset_id": version.dataset_id,
        "version_id": version.id,
        "number": version.number,
        "kind": version.kind.value,
        "parent_id": version.parent_id,
        "changes": version.changes,
        "mapping": version.mapping,
        **{name: value for name, value in sorted(figures.items()) if name not in {"kind", "problems", "landmarks"}},
        "files": {file.name: {"key": file.key, "sha256": file.sha256, "num_bytes": file.num_bytes} for file in files},
    }
    return json.dumps(said, ensure_ascii=False, indent=1).encode()
