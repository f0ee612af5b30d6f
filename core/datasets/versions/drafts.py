"""Changes that are collected before they are saved: one draft a dataset, seen by everybody who looks at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.queue import TaskQueue
from core.datasets import row_views, rows
from core.datasets import service as datasets
from core.datasets.changes import CHANGE, Change, EditRow, Edits, Restore
from core.datasets.ingest_files import IngestedRow
from core.datasets.models import DatasetVersion, DraftChange, Row
from core.datasets.service import VersionDetails
from core.datasets.table.repository import EXPORTED
from core.datasets.types import RowContent
from core.datasets.versions import service as versions
from core.datasets.versions.derivation import row_of
from core.datasets.versions.repository import DraftRepository, HistoryRepository, names_of
from core.errors import Conflict, Invalid
from core.workspaces.principal import Principal


@dataclass(frozen=True, slots=True)
class DraftEntry:
    change: Change
    created_by_name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Draft:
    dataset_id: str
    version_id: str | None
    """What its changes were made on; of an empty draft, what they would be made on."""
    is_stale: bool
    """Another version came in between, so that it can only be discarded."""
    entries: Sequence[DraftEntry]


def get(session: Session, *, workspace_id: str, dataset_id: str) -> Draft:
    datasets.get(session, workspace_id=workspace_id, dataset_id=dataset_id)
    return _draft(session, workspace_id, dataset_id)


def append(
    session: Session,
    *,
    principal: Principal,
    dataset_id: str,
    version_id: str,
    change: Change,
    seen: RowContent | None = None,
) -> Draft:
    """Add a change that was made looking at this version. Raises Conflict if it is not the newest any more.

    And, of an edit, if the draft's row holds something else than was `seen`: somebody edited it meanwhile.
    """
    dataset = versions.lock(session, principal, dataset_id)
    datasets.get_version(session, workspace_id=principal.workspace_id, version_id=version_id)
    version = versions.current(session, principal, dataset, version_id)
    if isinstance(change, Restore):
        raise Invalid(
            "Going back to an earlier version is no part of a draft; make a version of it.",
            code="invalid_changes",
            param="change",
        )
    versions.check(session, version, change)
    repository = DraftRepository(session, principal.workspace_id, dataset_id)
    last = repository.last()
    if last is not None and last.version_id != version_id:
        raise _stale(session, last)
    if seen is not None and isinstance(change, EditRow):
        _check_seen(session, version, change.number, seen)
    if repository.num_changes() >= versions.MAX_CHANGES:
        raise Conflict(
            f"There are {versions.MAX_CHANGES} changes that are not saved. Save them, then go on.", code="draft_full"
        )
    dumped = change.model_dump(mode="json", exclude_unset=True)
    repository.append(version_id=version_id, change=dumped, created_by=principal.user_id)
    _record(session, principal, dataset_id, "dataset_draft.changed", change.type)
    return _draft(session, principal.workspace_id, dataset_id)


def undo(session: Session, *, principal: Principal, dataset_id: str) -> Draft:
    """Take the last change back; of an empty draft, none."""
    versions.lock(session, principal, dataset_id)
    repository = DraftRepository(session, principal.workspace_id, dataset_id)
    last = repository.last()
    if last is not None:
        repository.remove(last)
        _record(session, principal, dataset_id, "dataset_draft.undone", str(last.change["type"]))
    return _draft(session, principal.workspace_id, dataset_id)


def discard(session: Session, *, principal: Principal, dataset_id: str) -> None:
    """Throw all of it away."""
    versions.lock(session, principal, dataset_id)
    repository = DraftRepository(session, principal.workspace_id, dataset_id)
    if repository.last() is not None:
        repository.clear()
        audit.record(session, principal=principal, action="dataset_draft.discarded", target_id=dataset_id)


def save(session: Session, *, principal: Principal, dataset_id: str, queue: TaskQueue | None = None) -> VersionDetails:
    """Make a version of the draft, which is empty then. Raises Conflict if another version came in between."""
    versions.lock(session, principal, dataset_id)
    repository = DraftRepository(session, principal.workspace_id, dataset_id)
    found = repository.changes()
    if not found:
        raise Conflict("There are no changes to save.", code="draft_empty")
    made = versions.derive(
        session,
        principal=principal,
        version_id=found[0].version_id,
        changes=[CHANGE.validate_python(entry.change) for entry in found],
        queue=queue,
    )
    repository.clear()
    return made


def applied(session: Session, *, workspace_id: str, version_id: str, found: Sequence[Row]) -> Sequence[IngestedRow]:
    """Rows of a version as the draft would make them; as they are if the draft was made on another version."""
    version = datasets.get_version(session, workspace_id=workspace_id, version_id=version_id)
    return _apply(found, _of_version(session, version))


def _check_seen(session: Session, version: DatasetVersion, number: int, seen: RowContent) -> None:
    entries = _of_version(session, version)
    row = row_views.get_row(session, workspace_id=version.workspace_id, version_id=version.id, number=number)
    now = _apply([row], entries)[0]
    if now.dump_content() == rows.cleaned(seen).dump_content():
        return
    edits = [entry for entry in entries if _is_edit_of(entry, number)]
    name = names_of(session, [edits[-1].created_by]).get(edits[-1].created_by) if edits else None
    raise Conflict(
        f"{name or 'Somebody'} changed example {number} while you wrote. Look at it, then make your change again.",
        code="row_changed",
        param="seen",
        details={"number": number, "created_by_name": name},
    )


def _is_edit_of(entry: DraftChange, number: int) -> bool:
    return bool(entry.change["type"] == "edit_row" and entry.change["number"] == number)


def _of_version(session: Session, version: DatasetVersion) -> list[DraftChange]:
    found = DraftRepository(session, version.workspace_id, version.dataset_id).changes()
    return [entry for entry in found if entry.version_id == version.id]


def _apply(found: Sequence[Row], entries: Sequence[DraftChange]) -> list[IngestedRow]:
    edits = Edits(CHANGE.validate_python(entry.change) for entry in entries)
    return [edits.apply(row_of({name: getattr(row, name) for name in EXPORTED})) for row in found]


def _draft(session: Session, workspace_id: str, dataset_id: str) -> Draft:
    found = DraftRepository(session, workspace_id, dataset_id).changes()
    latest = HistoryRepository(session, workspace_id, dataset_id).latest_ready()
    latest_id = None if latest is None else latest.id
    names = names_of(session, [entry.created_by for entry in found])
    return Draft(
        dataset_id=dataset_id,
        version_id=found[0].version_id if found else latest_id,
        is_stale=bool(found) and found[0].version_id != latest_id,
        entries=[
            DraftEntry(CHANGE.validate_python(entry.change), names.get(entry.created_by), entry.created_at)
            for entry in found
        ],
    )


def _stale(session: Session, entry: DraftChange) -> Conflict:
    name = names_of(session, [entry.created_by]).get(entry.created_by)
    return Conflict(
        f"{name or 'Somebody'} has changes of an older version here that are not saved. Discard them first.",
        code="draft_stale",
        details={"version_id": entry.version_id, "created_by_name": name},
    )


def _record(session: Session, principal: Principal, dataset_id: str, action: str, change: str) -> None:
    audit.record(session, principal=principal, action=action, target_id=dataset_id, details={"change": change})
