"""The worker's side of a version that is made by changes. Every write is guarded by the lease."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy.orm import Session

from core.datasets import ingest, service
from core.datasets.artifacts import VersionArtifact
from core.datasets.changes import MAX_NUMBER, Change, EditRow, Restore
from core.datasets.ingest_files import IngestedRow, IngestReport
from core.datasets.models import DatasetVersion
from core.datasets.repository import VersionRepository
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import VersionStatus
from core.datasets.versions import kept
from core.datasets.versions.repository import HistoryRepository
from core.datasets.versions.service import changes_of
from core.jobs.types import Lease

# of a thousand rows each
_LANDMARKS_PER_RANGE = 20
_FIGURES = (
    "num_rows", "num_train", "num_heldout", "num_problems", "num_tokens", "max_row_tokens", "p99_row_tokens",
    "content_sha256", "health", "problems", "num_visible", "num_dated", "landmarks", "base_model",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Derivation:
    version: DatasetVersion
    parent: DatasetVersion
    changes: list[Change]
    restored: DatasetVersion | None
    """The earlier version that is to be had again."""


def load(session: Session, lease: Lease) -> Derivation:
    """What the job is to do."""
    version = service.get_version(session, workspace_id=lease.workspace_id, version_id=lease.payload["version_id"])
    parent = service.get_version(session, workspace_id=lease.workspace_id, version_id=str(version.parent_id))
    changes = changes_of(version)
    restored = None
    if isinstance(changes[0], Restore):
        past = HistoryRepository(session, lease.workspace_id, version.dataset_id)
        restored = past.numbered(changes[0].number)
    return Derivation(version, parent, changes, restored)


def base_rows(session: Session, lease: Lease, parent: DatasetVersion, *, base_model: str) -> Iterator[IngestedRow]:
    """What is to be changed. Tokens that another base model counted are to be counted anew."""
    is_counted = parent.base_model == base_model
    for values in RowRepository(session, lease.workspace_id).export(Snapshot.of(parent)):
        yield row_of(values if is_counted else values | {"num_tokens": None})


def row_of(values: dict[str, Any]) -> IngestedRow:
    return IngestedRow.model_validate(values | {"tags": values["tags"] or [], "problems": values["problems"] or []})


def discard(session: Session, lease: Lease, version: DatasetVersion, *, lease_s: float) -> bool:
    """Remove what earlier attempts left, as much as one transaction can bear; whether that was all. Raises Fenced.

    Also what versions of the same reading staged that failed: this one is the first that would see it.
    """
    ingest.renew(session, lease, lease_s)
    repository = RowRepository(session, lease.workspace_id)
    past = HistoryRepository(session, lease.workspace_id, version.dataset_id)
    numbers = past.never_ready(version.reading_id)
    return all(repository.undo(Snapshot(version.reading_id, number)) for number in numbers)


def stage(
    session: Session, lease: Lease, version: DatasetVersion, rows: Sequence[IngestedRow], *, lease_s: float
) -> None:
    """Enter changed rows and keep the lease. No version that is ready sees them. Raises Fenced."""
    ingest.renew(session, lease, lease_s)
    repository, snapshot = RowRepository(session, lease.workspace_id), Snapshot.of(version)
    repository.remove(snapshot, [row.number for row in rows])
    repository.insert(snapshot.reading_id, snapshot.number, [ingest.values_of(row) for row in rows])


def number_ranges(version: DatasetVersion) -> list[tuple[int, int]]:
    """All numbers of a version's rows in ranges (after the first, up to the second) that one transaction can bear."""
    cuts = [0, *((version.landmarks or [])[_LANDMARKS_PER_RANGE::_LANDMARKS_PER_RANGE]), MAX_NUMBER]
    return list(pairwise(cuts))


def restore(session: Session, lease: Lease, derivation: Derivation, numbers: tuple[int, int], *, lease_s: float) -> int:
    """Enter rows of an earlier version again; how many differ. Raises Fenced."""
    ingest.renew(session, lease, lease_s)
    if derivation.restored is None:
        raise RuntimeError(f"version {derivation.version.id} restores nothing")
    return RowRepository(session, lease.workspace_id).restore(
        Snapshot.of(derivation.version),
        Snapshot.of(derivation.restored),
        after_number=numbers[0],
        up_to_number=numbers[1],
    )


def figures_of(version: DatasetVersion) -> dict[str, Any]:
    """What is known of a version whose rows are another's too."""
    return {name: getattr(version, name) for name in _FIGURES}


def make_ready(
    session: Session,
    derivation: Derivation,
    values: dict[str, Any],
    *,
    num_changed: int,
    artifact: VersionArtifact | None,
) -> None:
    """Publish the version: that it is ready is written here, and what stays kept in it. The caller ends the job too."""
    version = derivation.version
    dumped = None if artifact is None else artifact.model_dump(mode="json")
    VersionRepository(session, version.workspace_id).finish(
        version.id,
        VersionStatus.READY,
        values | {"num_changed": num_changed, "artifact": dumped},
    )
    edited = [change.number for change in derivation.changes if isinstance(change, EditRow)]
    kept.carry_over(session, version, derivation.restored or derivation.parent, edited=edited)


def values_of(report: IngestReport, *, base_model: str) -> dict[str, Any]:
    return report.model_dump(mode="json") | {"base_model": base_model}
