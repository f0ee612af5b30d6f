"""From rows to what was made of them: every run and model that learned from a version, or from one row of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.datasets import files, row_views
from core.datasets import service as datasets
from core.datasets.models import DatasetVersion, File
from core.datasets.versions import service as versions
from core.training.repository import RunRepository
from core.training.types import RunDetails

_MAX_RUNS = 100


@dataclass(frozen=True, slots=True)
class RowLineage:
    """`versions` are those that hold the row exactly as it is in the one that was asked."""

    file: File
    number: int
    versions: Sequence[DatasetVersion]
    runs: Sequence[RunDetails]


def of_dataset(session: Session, *, workspace_id: str, dataset_id: str) -> Sequence[RunDetails]:
    """The newest hundred runs that learned from any version of the dataset, or were measured with it."""
    datasets.get(session, workspace_id=workspace_id, dataset_id=dataset_id)
    ids = versions.ids_of(session, workspace_id=workspace_id, dataset_id=dataset_id)
    return RunRepository(session, workspace_id).of_versions(ids, limit=_MAX_RUNS)


def of_versions(session: Session, *, workspace_id: str, version_ids: Sequence[str], limit: int) -> Sequence[RunDetails]:
    """The newest runs that learned from any of the versions, or were measured with one."""
    return RunRepository(session, workspace_id).of_versions(version_ids, limit=limit)


def of_row(session: Session, *, workspace_id: str, version_id: str, number: int) -> RowLineage:
    """Raises NotFound for a row that the version does not have."""
    row = row_views.get_row(session, workspace_id=workspace_id, version_id=version_id, number=number)
    version = datasets.get_version(session, workspace_id=workspace_id, version_id=version_id)
    holding = versions.holding(session, row)
    return RowLineage(
        file=files.of_dataset(session, workspace_id=workspace_id, dataset_id=version.dataset_id),
        number=number,
        versions=holding,
        runs=RunRepository(session, workspace_id).of_versions([one.id for one in holding], limit=_MAX_RUNS),
    )
