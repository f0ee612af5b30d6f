"""The rows of a version as somebody looks at them: pages, places, numbers, tags.

All of it raises Conflict while the version is not ready, and NotFound for one that is unknown or foreign.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.datasets import service as datasets
from core.datasets.models import DatasetVersion, Row
from core.datasets.table.query import RowQuery
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import RowFilter
from core.errors import NotFound
from core.kit.pagination import Page

_MAX_TAGS = 100


@dataclass(frozen=True, slots=True)
class RowPage:
    page: Page[Row]
    total: int | None
    """Rows that match on all pages; None where nobody counted."""


def list_rows(session: Session, *, workspace_id: str, version_id: str, wanted: RowQuery) -> RowPage:
    """Rows, left-out ones too, and how many match."""
    version = datasets.ready_version(session, workspace_id, version_id)
    repository, snapshot = RowRepository(session, workspace_id), Snapshot.of(version)
    landmarks = version.landmarks or () if wanted.offset else ()
    page = repository.page(snapshot, wanted, landmarks=landmarks, num_visible=version.num_visible or 0)
    return RowPage(page, _total(repository, version, wanted))


def list_numbers(session: Session, *, workspace_id: str, version_id: str, wanted: RowQuery) -> Page[int]:
    """The numbers of the rows that match, in the file's order."""
    version = datasets.ready_version(session, workspace_id, version_id)
    found = RowRepository(session, workspace_id).numbers(Snapshot.of(version), wanted)
    return Page.cut(found, wanted.limit)


def place_of_row(session: Session, *, workspace_id: str, version_id: str, number: int, wanted: RowQuery) -> int:
    """How many rows that match come before the one with this number, or would."""
    version = datasets.ready_version(session, workspace_id, version_id)
    landmarks = version.landmarks or ()
    return RowRepository(session, workspace_id).place(Snapshot.of(version), wanted, number, landmarks=landmarks)


def list_tags(session: Session, *, workspace_id: str, version_id: str) -> dict[str, int]:
    """How many rows have each of the hundred most frequent tags."""
    version = datasets.ready_version(session, workspace_id, version_id)
    return RowRepository(session, workspace_id).tags(Snapshot.of(version), limit=_MAX_TAGS)


def get_row(session: Session, *, workspace_id: str, version_id: str, number: int) -> Row:
    """Raises NotFound for a number that the version does not have."""
    version = datasets.ready_version(session, workspace_id, version_id)
    row = RowRepository(session, workspace_id).get(Snapshot.of(version), number)
    if row is None:
        raise NotFound(f"There is no row {number} in this version.", code="row_not_found", param="number")
    return row


def _total(repository: RowRepository, version: DatasetVersion, wanted: RowQuery) -> int | None:
    """None where counting would mean to read everything."""
    if wanted.search:
        return None
    if wanted.finding is None and wanted.tag is None and not wanted.has_length:
        known = {
            RowFilter.ALL: version.num_visible,
            RowFilter.TRAIN: version.num_train,
            RowFilter.HELDOUT: version.num_heldout,
        }.get(wanted.row_filter)
        if known is not None:
            return known
    return repository.count(Snapshot.of(version), wanted)
