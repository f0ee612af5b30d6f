"""The worker's side of a version: what to read, its rows in batches, its end. Every write is guarded by the lease."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.datasets import files, service
from core.datasets.artifacts import VersionArtifact
from core.datasets.ingest_files import IngestedRow, IngestReport
from core.datasets.models import DatasetVersion, File
from core.datasets.repository import DatasetRepository, VersionRepository, leftover
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import VersionStatus
from core.jobs import leases
from core.jobs.types import JobError, Lease

ROWS_PER_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Source:
    version: DatasetVersion
    file: File


class Fenced(Exception):
    """The lease is lost. The transaction must be rolled back and nothing more be written."""


def source_of(session: Session, lease: Lease) -> Source:
    """What the job is to read."""
    version = service.get_version(session, workspace_id=lease.workspace_id, version_id=lease.payload["version_id"])
    dataset = DatasetRepository(session, lease.workspace_id).get(version.dataset_id)
    if dataset is None:
        raise RuntimeError(f"version {version.id} has no dataset")
    file = files.get_even_deleted(session, workspace_id=lease.workspace_id, file_id=dataset.file_id)
    return Source(version, file)


def discard_rows(session: Session, lease: Lease, *, lease_s: float) -> bool:
    """Remove what an earlier attempt left, as much as one transaction can bear; whether that was all. Raises Fenced."""
    renew(session, lease, lease_s)
    return RowRepository(session, lease.workspace_id).delete_reading(lease.payload["version_id"])


def insert_rows(session: Session, lease: Lease, rows: Sequence[IngestedRow], *, lease_s: float) -> None:
    """Add a batch and keep the lease. Rows are not shown before the version is ready. Raises Fenced."""
    renew(session, lease, lease_s)
    RowRepository(session, lease.workspace_id).insert(lease.payload["version_id"], 0, [values_of(row) for row in rows])


def make_ready(
    session: Session, lease: Lease, report: IngestReport, *, base_model: str, artifact: VersionArtifact
) -> None:
    """Publish the version with all its rows. The caller ends the job in the same transaction."""
    values = report.model_dump(mode="json") | {"base_model": base_model, "artifact": artifact.model_dump(mode="json")}
    VersionRepository(session, lease.workspace_id).finish(lease.payload["version_id"], VersionStatus.READY, values)


def fail(session: Session, *, workspace_id: str, version_id: str, error: JobError) -> bool:
    """Give the version up. False if it is settled already.

    No version sees its rows. Very many of them are left to `sweep`, for whoever calls this may have to answer soon.
    """
    versions = VersionRepository(session, workspace_id)
    if not versions.finish(version_id, VersionStatus.FAILED, {"error": dict(error)}):
        return False
    _take_back(session, service.get_version(session, workspace_id=workspace_id, version_id=version_id))
    return True


def sweep(session: Session) -> bool:
    """Remove rows of versions that failed, as much as one transaction can bear; whether that was all. System scope."""
    version = leftover(session)
    if version is None:
        return True
    _take_back(session, version)
    return False


def _take_back(session: Session, version: DatasetVersion) -> bool:
    rows = RowRepository(session, version.workspace_id)
    return rows.delete_reading(version.id) if version.parent_id is None else rows.undo(Snapshot.of(version))


def renew(session: Session, lease: Lease, lease_s: float) -> None:
    if leases.heartbeat(session, lease, lease_s=lease_s).fenced:
        raise Fenced


def values_of(row: IngestedRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "split": row.split,
        "messages": row.messages,
        "tools": row.tools,
        "chosen": row.chosen,
        "rejected": row.rejected,
        "text": row.text,
        "num_tokens": row.num_tokens,
        "problems": [problem.model_dump(mode="json") for problem in row.problems] or None,
        "is_edited": row.is_edited,
        "excluded_from": row.excluded_from,
        "tags": row.tags or None,
        "time": row.time,
    }
