"""Versions made of other versions: changed, restored, listed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.queue import TaskQueue
from core.datasets import closing
from core.datasets import service as datasets
from core.datasets.changes import CHANGE, ApplyFix, Change, EditRow, Resplit, Restore, SplitStrategy
from core.datasets.examples import read_content
from core.datasets.models import Dataset, DatasetVersion, Row
from core.datasets.repository import DatasetRepository, VersionRepository
from core.datasets.service import VersionDetails
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import VersionStatus
from core.datasets.versions.repository import HistoryRepository, names_of
from core.errors import Conflict, Invalid, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.kit.ids import new_id
from core.kit.pagination import Page
from core.workspaces.principal import Principal

MAX_CHANGES = 1000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class PastVersion:
    """A version as the history shows it."""

    details: VersionDetails
    created_by_name: str | None
    changes: list[Change]


def history(
    session: Session, *, workspace_id: str, dataset_id: str, before_number: int | None, limit: int
) -> Page[PastVersion]:
    """Newest first: who made each, when, and what changed."""
    datasets.get(session, workspace_id=workspace_id, dataset_id=dataset_id)
    found = HistoryRepository(session, workspace_id, dataset_id).page(before_number=before_number, limit=limit)
    names = names_of(session, [version.created_by for version in found.items])
    details = datasets.version_details(session, workspace_id, found.items)
    return Page(
        items=[PastVersion(one, names.get(one.version.created_by), changes_of(one.version)) for one in details],
        has_more=found.has_more,
    )


def ids_of(session: Session, *, workspace_id: str, dataset_id: str) -> Sequence[str]:
    return HistoryRepository(session, workspace_id, dataset_id).ids()


def holding(session: Session, row: Row) -> Sequence[DatasetVersion]:
    """The ready versions that hold the row as it is, oldest first."""
    reading = datasets.get_version(session, workspace_id=row.workspace_id, version_id=row.reading_id)
    return HistoryRepository(session, row.workspace_id, reading.dataset_id).holding(row)


def changes_of(version: DatasetVersion) -> list[Change]:
    return [CHANGE.validate_python(change) for change in version.changes or []]


def derive(
    session: Session,
    *,
    principal: Principal,
    version_id: str,
    changes: Sequence[Change],
    queue: TaskQueue | None = None,
) -> VersionDetails:
    """A new version: this one, changed. Its rows are written by a job.

    Raises Conflict if another version came in between, or is being made.
    """
    if not 1 <= len(changes) <= MAX_CHANGES:
        raise Invalid(f"A version has 1 to {MAX_CHANGES} changes.", code="invalid_changes", param="changes")
    version = datasets.get_version(session, workspace_id=principal.workspace_id, version_id=version_id)
    dataset = lock(session, principal, version.dataset_id)
    parent = current(session, principal, dataset, version_id)
    for change in changes:
        check(session, parent, change)
    if len(changes) > 1 and any(isinstance(change, Restore) for change in changes):
        raise Invalid(
            "Going back to an earlier version takes all other changes away, so it stands alone.",
            code="invalid_changes",
            param="changes",
        )
    made = _add(session, principal, parent, changes, queue)
    details = {
        "dataset_id": dataset.id,
        "number": made.number,
        "parent_id": parent.id,
        "changes": sorted({change.type for change in changes}),
    }
    audit.record(session, principal=principal, action="dataset_version.created", target_id=made.id, details=details)
    return VersionDetails(made, 0.0)


def lock(session: Session, principal: Principal, dataset_id: str) -> Dataset:
    """One writer a dataset at a time. Raises NotFound for one that is deleted."""
    DatasetRepository(session, principal.workspace_id).lock(dataset_id)
    return datasets.get(session, workspace_id=principal.workspace_id, dataset_id=dataset_id)


def current(session: Session, principal: Principal, dataset: Dataset, version_id: str) -> DatasetVersion:
    """The version, if it is still what the dataset is. Raises Conflict, saying who changed what meanwhile."""
    past = HistoryRepository(session, principal.workspace_id, dataset.id)
    busy = past.in_progress()
    if busy is not None:
        name = names_of(session, [busy.created_by]).get(busy.created_by)
        raise Conflict(
            f"Version {busy.number} is being made{f' by {name}' if name else ''}. Wait until it is there, then look "
            "again.",
            code="dataset_version_in_progress",
            details={"version_id": busy.id, "number": busy.number, "created_by_name": name},
        )
    latest = past.latest_ready()
    if latest is None:
        raise Conflict(
            "The examples could not be read, so there is nothing to change.",
            code="dataset_not_ready",
            details={"status": VersionStatus.FAILED.value},
        )
    if latest.id != version_id:
        name = names_of(session, [latest.created_by]).get(latest.created_by)
        kinds = sorted({change["type"] for change in latest.changes or []})
        raise Conflict(
            f"{name or 'Somebody'} made version {latest.number} of these examples meanwhile. Look at it, then make "
            "your change again.",
            code="dataset_changed",
            param="version_id",
            details={"version_id": latest.id, "number": latest.number, "created_by_name": name, "changes": kinds},
        )
    return latest


def check(session: Session, version: DatasetVersion, change: Change) -> None:
    """Raises Invalid or NotFound for what cannot be done to the version."""
    rows, snapshot = RowRepository(session, version.workspace_id), Snapshot.of(version)
    if isinstance(change, Resplit):
        if change.strategy is SplitStrategy.BY_TIME and not version.num_dated:
            raise Invalid(
                "No example of this version has a date, so the newest are not known. Read the file again and say "
                "which column has the date (mapping.time), or choose another strategy.",
                code="no_dates",
                param="strategy",
            )
        return
    if isinstance(change, Restore):
        _restorable(session, version, change)
        return
    if isinstance(change, EditRow):
        if change.content.kind is not version.kind:
            raise Invalid(
                f"The examples here are of the kind {version.kind.value}; this one is {change.content.kind.value}.",
                code="mixed_kinds",
                param="content",
            )
        read_content(version.kind, change.number, change.content.dump_content())
        _check_numbers(rows, snapshot, [change.number], "number")
    elif not isinstance(change, ApplyFix) and change.numbers is not None:
        _check_numbers(rows, snapshot, change.numbers, "numbers")
    elif not rows.has_finding(snapshot, str(change.finding)):
        raise NotFound(
            f"In no row of this version {change.finding!r} was found.", code="finding_not_there", param="finding"
        )


def _check_numbers(rows: RowRepository, snapshot: Snapshot, numbers: list[int], param: str) -> None:
    missing = sorted(set(numbers) - rows.existing(snapshot, numbers))
    if missing:
        shown = ", ".join(map(str, missing[:_SHOWN]))
        raise NotFound(f"There is no row {shown} in this version.", code="row_not_found", param=param)


def _restorable(session: Session, version: DatasetVersion, change: Restore) -> None:
    target = HistoryRepository(session, version.workspace_id, version.dataset_id).numbered(change.number)
    if target is None or target.status is not VersionStatus.READY or target.id == version.id:
        raise NotFound(
            f"There is no earlier version {change.number} to go back to.",
            code="dataset_version_not_found",
            param="number",
        )


def _add(
    session: Session, principal: Principal, parent: DatasetVersion, changes: Sequence[Change], queue: TaskQueue | None
) -> DatasetVersion:
    closing.refuse_while_closed(session, workspace_id=principal.workspace_id)
    repository = VersionRepository(session, principal.workspace_id)
    source = parent
    if isinstance(changes[0], Restore):
        past = HistoryRepository(session, principal.workspace_id, parent.dataset_id)
        source = past.numbered(changes[0].number) or parent
    version_id = new_id("dsv_")
    job = jobs.submit(
        session,
        workspace_id=principal.workspace_id,
        kind=JobKind.DATASET_DERIVE,
        payload={"version_id": version_id},
        created_by=principal.user_id,
        queue=queue,
    )
    return repository.add(
        DatasetVersion(
            id=version_id,
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            dataset_id=parent.dataset_id,
            number=repository.last_number(parent.dataset_id) + 1,
            reading_id=source.reading_id,
            parent_id=parent.id,
            changes=[change.model_dump(mode="json", exclude_unset=True) for change in changes],
            status=VersionStatus.VALIDATING,
            kind=source.kind,
            job_id=job.id,
            mapping=source.mapping,
        )
    )
