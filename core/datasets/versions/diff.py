"""What differs between two versions of a dataset, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from core.datasets import service as datasets
from core.datasets.models import DatasetVersion, Row
from core.datasets.service import VersionDetails
from core.datasets.table.repository import Snapshot
from core.datasets.versions.repository import DiffRepository, HistoryRepository
from core.errors import Invalid


class DiffKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    EDITED = "edited"
    EXCLUDED = "excluded"
    INCLUDED = "included"
    # to the other side of what is held out, or left out by a fault
    MOVED = "moved"
    TAGGED = "tagged"


@dataclass(frozen=True, slots=True)
class RowDiff:
    number: int
    kind: DiffKind
    before: Row | None
    after: Row | None


@dataclass(frozen=True, slots=True)
class Diff:
    before: VersionDetails
    after: VersionDetails
    rows: Sequence[RowDiff]
    has_more: bool
    counts: dict[DiffKind, int]
    """Of all rows that differ, on all pages."""


def between(
    session: Session, *, workspace_id: str, version_id: str, before_id: str | None, after_number: int, limit: int
) -> Diff:
    """From `before_id` to the version: from its parent, or the version before it, if none is named.

    The first version is compared with itself. Raises Invalid for versions of two datasets.
    """
    after = datasets.ready_version(session, workspace_id, version_id)
    wanted = before_id or after.parent_id or _earlier_id(session, after) or after.id
    before = datasets.ready_version(session, workspace_id, wanted)
    if before.dataset_id != after.dataset_id:
        raise Invalid("These are versions of two datasets.", code="nothing_to_compare", param="before")
    rows = DiffRepository(session, workspace_id, Snapshot.of(before), Snapshot.of(after))
    found = rows.page(after_number=after_number, limit=limit)
    details = datasets.version_details(session, workspace_id, [before, after])
    return Diff(
        before=details[0],
        after=details[1],
        rows=[RowDiff(number, DiffKind(kind), one, other) for number, kind, one, other in found.items],
        has_more=found.has_more,
        counts={DiffKind(kind): number for kind, number in rows.counts().items()},
    )


def _earlier_id(session: Session, version: DatasetVersion) -> str | None:
    earlier = HistoryRepository(session, version.workspace_id, version.dataset_id).ready_before(version.number)
    return None if earlier is None else earlier.id
