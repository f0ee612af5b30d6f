"""Datasets and their versions: make, look, rename, delete, restore, read the rows."""

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Map
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.queue import TaskQueue
from core.datasets import chosen, closing, files
from core.datasets.models import Dataset, DatasetVersion, File
from core.datasets.repository import DatasetRepository, KeptFindingRepository, VersionRepository
from core.datasets.table.repository import RowRepository, Snapshot
from core.datasets.types import Inspection, Kept, Mapping, RowKind, RowRecord, Split, VersionStatus
from core.errors import Conflict, Invalid, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.states import JobState
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.workspaces.principal import Principal

MAX_NAME_CHARS = 200


@dataclass(frozen=True, slots=True)
class VersionDetails:
    """A version, how far its validation is, from 0 to 1, and what of the findings somebody decided to keep, by code."""

    version: DatasetVersion
    progress: float
    kept: Map[str, Kept] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetDetails:
    dataset: Dataset
    latest: VersionDetails


def create(
    session: Session,
    *,
    principal: Principal,
    file_id: str,
    name: str | None = None,
    mapping: Mapping | None = None,
    seen: Inspection | None = None,
    queue: TaskQueue | None = None,
) -> DatasetDetails:
    """A dataset with a first version, whose rows are read by a job.

    Without a mapping, the one that the workspace chose for the same columns before, else the file's suggested one.
    `seen` is what `preview.of_sheet` found on the sheet that it says.
    """
    file = files.hold(session, workspace_id=principal.workspace_id, file_id=file_id)
    found = chosen.inspected(file, mapping, seen)
    used = chosen.checked(session, workspace_id=principal.workspace_id, found=found, wanted=mapping)
    chosen.remember(session, principal=principal, found=found, wanted=mapping)
    dataset, version = _add_dataset(
        session,
        file=file,
        name=_checked_name(name) if name is not None else _name_of(file),
        mapping=used,
        kind=chosen.kind_of(found, used),
        created_by=principal.user_id,
        queue=queue,
    )
    details = {"file_id": file.id, "version_id": version.id}
    audit.record(session, principal=principal, action="dataset.created", target_id=dataset.id, details=details)
    return DatasetDetails(dataset, VersionDetails(version, 0.0))


def get(session: Session, *, workspace_id: str, dataset_id: str) -> Dataset:
    """Raises NotFound for an unknown, foreign or deleted dataset."""
    dataset = DatasetRepository(session, workspace_id).get(dataset_id)
    if dataset is None or dataset.deleted_at is not None:
        raise _dataset_not_found(dataset_id)
    return dataset


def get_even_deleted(session: Session, *, workspace_id: str, dataset_id: str) -> Dataset:
    """For what must be told of every dataset there ever was. Raises `NotFound`."""
    dataset = DatasetRepository(session, workspace_id).get(dataset_id)
    if dataset is None:
        raise _dataset_not_found(dataset_id)
    return dataset


def get_details(session: Session, *, workspace_id: str, dataset_id: str) -> DatasetDetails:
    dataset = get(session, workspace_id=workspace_id, dataset_id=dataset_id)
    return _details(session, workspace_id, [dataset])[0]


def list_datasets(session: Session, *, workspace_id: str, page: PageRequest) -> Page[DatasetDetails]:
    """Newest first, without the deleted ones."""
    found = DatasetRepository(session, workspace_id).page(page)
    return Page(items=_details(session, workspace_id, found.items), has_more=found.has_more)


def rename(session: Session, *, principal: Principal, dataset_id: str, name: str) -> DatasetDetails:
    dataset = _lock(session, principal.workspace_id, dataset_id)
    if dataset.deleted_at is not None:
        raise _dataset_not_found(dataset_id)
    before, dataset.name = dataset.name, _checked_name(name)
    details = {"before": before, "after": dataset.name}
    audit.record(session, principal=principal, action="dataset.renamed", target_id=dataset_id, details=details)
    return _details(session, principal.workspace_id, [dataset])[0]


def delete(session: Session, *, principal: Principal, dataset_id: str) -> None:
    """Hide the dataset. Runs that use a version of it go on, and `restore` undoes it."""
    dataset = _lock(session, principal.workspace_id, dataset_id)
    if dataset.deleted_at is not None:
        raise _dataset_not_found(dataset_id)
    dataset.deleted_at = utc_now()
    audit.record(session, principal=principal, action="dataset.deleted", target_id=dataset_id)


def restore(session: Session, *, principal: Principal, dataset_id: str) -> DatasetDetails:
    """Bring a deleted dataset back; one that is there stays as it is."""
    dataset = _lock(session, principal.workspace_id, dataset_id)
    if dataset.deleted_at is not None:
        dataset.deleted_at = None
        audit.record(session, principal=principal, action="dataset.restored", target_id=dataset_id)
    return _details(session, principal.workspace_id, [dataset])[0]


def create_version(
    session: Session,
    *,
    principal: Principal,
    dataset_id: str,
    mapping: Mapping,
    seen: Inspection | None = None,
    queue: TaskQueue | None = None,
) -> VersionDetails:
    """Read the dataset's file with another mapping; `seen` as in `create`. Earlier versions stay as they are."""
    dataset = _lock(session, principal.workspace_id, dataset_id)
    if dataset.deleted_at is not None:
        raise _dataset_not_found(dataset_id)
    file = files.get_even_deleted(session, workspace_id=principal.workspace_id, file_id=dataset.file_id)
    files.refuse_erased(file)
    found = chosen.inspected(file, mapping, seen)
    used = chosen.checked(session, workspace_id=principal.workspace_id, found=found, wanted=mapping)
    version = _add_version(
        session,
        dataset=dataset,
        file=file,
        mapping=used,
        kind=chosen.kind_of(found, used),
        created_by=principal.user_id,
        queue=queue,
    )
    chosen.remember(session, principal=principal, found=found, wanted=mapping)
    details = {"dataset_id": dataset_id, "number": version.number}
    audit.record(session, principal=principal, action="dataset_version.created", target_id=version.id, details=details)
    return VersionDetails(version, 0.0)


def version_for_file(
    session: Session, *, workspace_id: str, file_id: str, principal_user_id: str, queue: TaskQueue | None = None
) -> DatasetVersion:
    """The version that reads the file with its remembered or suggested mapping; made, with a dataset, if there is none.

    Without `queue` its job starts when the reconciler looks.
    """
    file = files.hold(session, workspace_id=workspace_id, file_id=file_id)
    inspection = files.inspection_of(file)
    mapping = chosen.checked(session, workspace_id=workspace_id, found=inspection, wanted=None)
    found = _version_of(session, file, mapping)
    if found is not None:
        return found
    _, version = _add_dataset(
        session,
        file=file,
        name=_name_of(file),
        mapping=mapping,
        kind=chosen.kind_of(inspection, mapping),
        created_by=principal_user_id,
        queue=queue,
    )
    return version


def known_version_for_file(session: Session, *, workspace_id: str, file_id: str) -> DatasetVersion | None:
    """The version that `version_for_file` would give, if it is there already. Raises the same."""
    file = files.get(session, workspace_id=workspace_id, file_id=file_id)
    inspection = files.inspection_of(file)
    mapping = chosen.checked(session, workspace_id=workspace_id, found=inspection, wanted=None)
    return _version_of(session, file, mapping)


def get_version(session: Session, *, workspace_id: str, version_id: str) -> DatasetVersion:
    """Also of a deleted dataset: a model's lineage stays readable. Raises NotFound for an unknown or foreign one."""
    version = VersionRepository(session, workspace_id).get(version_id)
    if version is None:
        raise NotFound(
            f"There is no dataset version {version_id} in this workspace.",
            code="dataset_version_not_found",
            param="dataset_version_id",
        )
    return version


def get_version_details(session: Session, *, workspace_id: str, version_id: str) -> VersionDetails:
    version = get_version(session, workspace_id=workspace_id, version_id=version_id)
    return version_details(session, workspace_id, [version])[0]


def stream_rows(session: Session, *, workspace_id: str, version_id: str, split: Split) -> Iterator[RowRecord]:
    """Every row of a split in the file's order, in constant memory. Raises Conflict while the version is not ready."""
    version = ready_version(session, workspace_id, version_id)
    for row in RowRepository(session, workspace_id).stream(Snapshot.of(version), split):
        yield RowRecord(
            number=row.number,
            messages=row.messages,
            tools=row.tools,
            chosen=row.chosen,
            rejected=row.rejected,
            text=row.text,
        )


def ready_version(session: Session, workspace_id: str, version_id: str) -> DatasetVersion:
    version = get_version(session, workspace_id=workspace_id, version_id=version_id)
    if version.status is not VersionStatus.READY:
        raise Conflict(
            "The examples are still being read; look again in a moment."
            if version.status is VersionStatus.VALIDATING
            else "The examples could not be read, so there are no rows; the version's error says why.",
            code="dataset_not_ready",
            details={"status": version.status.value},
        )
    return version


def _version_of(session: Session, file: File, mapping: Mapping | None) -> DatasetVersion | None:
    dumped = None if mapping is None else mapping.dump()
    return VersionRepository(session, file.workspace_id).of_file(file.id, dumped)


def _add_dataset(
    session: Session,
    *,
    file: File,
    name: str,
    mapping: Mapping | None,
    kind: RowKind,
    created_by: str,
    queue: TaskQueue | None,
) -> tuple[Dataset, DatasetVersion]:
    dataset = DatasetRepository(session, file.workspace_id).add(
        Dataset(
            id=new_id("ds_"),
            workspace_id=file.workspace_id,
            created_by=created_by,
            file_id=file.id,
            name=name,
            deleted_at=None,
        )
    )
    return dataset, _add_version(
        session, dataset=dataset, file=file, mapping=mapping, kind=kind, created_by=created_by, queue=queue
    )


def _add_version(
    session: Session,
    *,
    dataset: Dataset,
    file: File,
    mapping: Mapping | None,
    kind: RowKind,
    created_by: str,
    queue: TaskQueue | None,
) -> DatasetVersion:
    closing.refuse_while_closed(session, workspace_id=dataset.workspace_id)
    files.refuse_erased(file)
    repository = VersionRepository(session, dataset.workspace_id)
    version_id = new_id("dsv_")
    job = jobs.submit(
        session,
        workspace_id=dataset.workspace_id,
        kind=JobKind.DATASET_INGEST,
        payload={"version_id": version_id},
        created_by=created_by,
        queue=queue,
    )
    return repository.add(
        DatasetVersion(
            id=version_id,
            workspace_id=dataset.workspace_id,
            created_by=created_by,
            dataset_id=dataset.id,
            number=repository.last_number(dataset.id) + 1,
            status=VersionStatus.VALIDATING,
            kind=kind,
            job_id=job.id,
            mapping=None if mapping is None else mapping.dump(),
        )
    )


def _checked_name(name: str) -> str:
    shown = " ".join(name.split())
    if not 1 <= len(shown) <= MAX_NAME_CHARS or not shown.isprintable():
        raise Invalid(f"A name has 1 to {MAX_NAME_CHARS} characters.", code="invalid_name", param="name")
    return shown


def _name_of(file: File) -> str:
    stem = file.filename.rpartition(".")[0]
    return " ".join(stem.replace("_", " ").split())[:MAX_NAME_CHARS] or "Examples"


def _lock(session: Session, workspace_id: str, dataset_id: str) -> Dataset:
    dataset = DatasetRepository(session, workspace_id).lock(dataset_id)
    if dataset is None:
        raise _dataset_not_found(dataset_id)
    return dataset


def _details(session: Session, workspace_id: str, datasets: Sequence[Dataset]) -> list[DatasetDetails]:
    latest = VersionRepository(session, workspace_id).latest_of([dataset.id for dataset in datasets])
    versions = version_details(session, workspace_id, [latest[dataset.id] for dataset in datasets])
    return [DatasetDetails(dataset, version) for dataset, version in zip(datasets, versions, strict=True)]


def version_details(session: Session, workspace_id: str, versions: Sequence[DatasetVersion]) -> list[VersionDetails]:
    validating = [version.job_id for version in versions if version.status is VersionStatus.VALIDATING]
    found = jobs.get_many(session, workspace_id=workspace_id, job_ids=validating) if validating else {}
    with_findings = [version.id for version in versions if version.health]
    kept = KeptFindingRepository(session, workspace_id).of_versions(with_findings) if with_findings else {}
    return [VersionDetails(version, _progress(version, found), kept.get(version.id, {})) for version in versions]


def _progress(version: DatasetVersion, found: Map[str, Job]) -> float:
    if version.status is not VersionStatus.VALIDATING:
        return 1.0
    job = found.get(version.job_id)
    if job is None or job.state is not JobState.RUNNING or not job.progress_total_steps:
        return 0.0
    return min((job.progress_step or 0) / job.progress_total_steps, 1.0)


def _dataset_not_found(dataset_id: str) -> NotFound:
    return NotFound(
        f"There is no dataset {dataset_id} in this workspace. If it was deleted, it can be restored.",
        code="dataset_not_found",
        param="dataset_id",
    )
