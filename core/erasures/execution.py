"""An erasure as its worker sees it: rows first, then what is told about them, then files. Guarded by the lease.

How far it is stands beside it, entered with each deed, so that whoever goes on with it does what is left.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.events import EventBus
from core.datasets import ingest
from core.datasets.artifacts import VersionArtifact, key_prefix
from core.datasets.ingest import Fenced
from core.datasets.ingest_files import IngestedRow
from core.datasets.models import DatasetVersion
from core.datasets.versions import derivation
from core.erasures import service
from core.erasures.coverage import MAPPING_WORDS, Kept
from core.erasures.models import Erasure
from core.erasures.repository import ErasureRepository, WordsRepository
from core.erasures.texts.repository import TextsRepository
from core.erasures.types import Found, FoundDataset, FoundVersion
from core.erasures.words import blanked
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.kit.sealing import Sealer
from core.workspaces.principal import Principal
from core.workspaces.roles import Role

_ROWS_PER_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Work:
    """All that a worker needs to know, without a session."""

    terms: list[str]
    version_ids: list[str]
    """Those that are still to be written anew."""
    file_ids: list[str]


def begin(session: Session, lease: Lease, *, sealer: Sealer, lease_s: float) -> Work | None:
    """Look once more, for rows may have come since the search. None if all of it was done. Raises `Fenced`."""
    erasure = _held(session, lease, lease_s)
    if erasure.finished_at is not None:
        return None
    terms = service.terms_of(erasure, sealer)
    now = service.find(session, workspace_id=lease.workspace_id, terms=terms, max_rows=None)
    found = _with_earlier(Found.model_validate(erasure.found), now)
    erasure.found = found.model_dump(mode="json")
    left = [one.version_id for dataset in found.datasets for one in dataset.versions if not one.is_done]
    return Work(terms=terms, version_ids=left, file_ids=[file.file_id for file in found.files])


def delete_rows(session: Session, lease: Lease, work: Work, *, lease_s: float) -> bool:
    """As much as one transaction can bear; whether that was all. Raises `Fenced`."""
    erasure = _held(session, lease, lease_s)
    repository = WordsRepository(session, lease.workspace_id, work.terms)
    keys = repository.rows(limit=_ROWS_PER_BATCH)[:_ROWS_PER_BATCH]
    if not keys:
        return True
    repository.delete_rows(keys)
    found = Found.model_validate(erasure.found)
    _keep(erasure, found, num_rows_erased=found.num_rows_erased + len(keys))
    return len(keys) < _ROWS_PER_BATCH


def version_to_write(session: Session, lease: Lease, work: Work, version_id: str) -> DatasetVersion:
    """The version as it is to be told from now on; not part of the session."""
    version = _version(session, lease, version_id)
    session.expunge(version)
    _blank(version, work.terms)
    return version


def rows_left(session: Session, lease: Lease, version: DatasetVersion, *, base_model: str) -> Iterator[IngestedRow]:
    return derivation.base_rows(session, lease, version, base_model=base_model)


def num_erased(session: Session, lease: Lease, version_id: str) -> int:
    """How many rows the version loses."""
    return _in(Found.model_validate(_erasure(session, lease).found), version_id).num_rows


def apply(
    session: Session,
    lease: Lease,
    work: Work,
    version_id: str,
    *,
    values: dict[str, Any],
    artifact: VersionArtifact | None,
    lease_s: float,
) -> None:
    """Tell of the version what is left of it. Raises `Fenced`; done already, it changes nothing."""
    erasure = _held(session, lease, lease_s)
    found = Found.model_validate(erasure.found)
    if _in(found, version_id).is_done:
        return
    version = _version(session, lease, version_id)
    for name, value in values.items():
        setattr(version, name, value)
    _blank(version, work.terms)
    version.num_erased += _in(found, version_id).num_rows
    if artifact is not None:
        version.artifact = artifact.model_dump(mode="json")
    _keep(erasure, found, datasets=_with_done(found.datasets, version_id))


def needless_keys(session: Session, lease: Lease, keys_of: Callable[[str], list[str]], *, lease_s: float) -> list[str]:
    """Objects that held the versions before. Raises `Fenced`.

    What a later attempt wrote is never among them, so that a worker that lost its lease takes nothing from it.
    """
    erasure = _held(session, lease, lease_s)
    versions = [_version(session, lease, one) for one in Found.model_validate(erasure.found).version_ids]
    needed = {key for version in versions for key in _keys_of(version)}
    needless = []
    for version in versions:
        prefix = key_prefix(lease.workspace_id, version.dataset_id, version.id)
        needless += [
            key
            for key in keys_of(prefix)
            if key not in needed and not _is_of_later_attempt(key.removeprefix(prefix), lease)
        ]
    return needless


def erase_files(session: Session, lease: Lease, work: Work, *, lease_s: float) -> list[str]:
    """Nobody sees them from now on; the keys of what is to be removed. Raises `Fenced`."""
    _held(session, lease, lease_s)
    repository = WordsRepository(session, lease.workspace_id, work.terms)
    files = repository.files_of(work.file_ids)
    for file in files:
        if file.erased_at is None:
            inspection = None if file.inspection is None else _without_contents(file.inspection, work.terms)
            filename = blanked(work.terms, file.filename)
            repository.mark_file_erased(file, filename=filename, inspection=inspection)
    return [file.object_key for file in files]


def take_out(session: Session, lease: Lease, work: Work, kept: Kept, *, lease_s: float) -> bool:
    """The words of one table, as many as one transaction can bear; whether that was all. Raises `Fenced`."""
    _held(session, lease, lease_s)
    return TextsRepository(session, lease.workspace_id, work.terms).take_out(kept)


def succeed(session: Session, lease: Lease, work: Work, *, bus: EventBus | None = None) -> None:
    """Remove what is left of it, forget what was looked for and end the job: all of it or, if fenced, none."""
    erasure = _erasure(session, lease)
    repository = WordsRepository(session, lease.workspace_id, work.terms)
    if repository.rows(limit=0):
        raise RuntimeError(f"rows came to {erasure.id} while it was done")
    found = Found.model_validate(erasure.found)
    repository.blank_preferences()
    repository.delete_drafts([dataset.dataset_id for dataset in found.datasets])
    models = service.models_of(session, workspace_id=lease.workspace_id, version_ids=found.version_ids)
    _keep(erasure, found, models=models, examples=[])
    ErasureRepository(session, lease.workspace_id).finish(erasure)
    asked_by = lease.payload["asked_by"]
    audit.record(
        session,
        principal=Principal(
            workspace_id=lease.workspace_id,
            user_id=str(asked_by["user_id"]),
            role=Role.ADMIN,
            display_name=str(asked_by["name"]),
        ),
        action="erasure.finished",
        target_id=erasure.id,
        details={"num_rows": found.num_rows_erased, "num_files": len(found.files), "num_models": len(models)},
    )
    if not jobs.finish(session, lease, JobState.SUCCEEDED, bus=bus):
        raise Fenced


def _with_earlier(before: Found, now: Found) -> Found:
    """What an earlier attempt removed is not found any more, and still counts."""
    known = {one.version_id: one for dataset in before.datasets for one in dataset.versions}
    if not before.num_rows_erased and not any(one.is_done for one in known.values()):
        return now
    merged: dict[str, dict[str, FoundVersion]] = {}
    for dataset in [*before.datasets, *now.datasets]:
        merged.setdefault(dataset.dataset_id, {}).update({one.version_id: one for one in dataset.versions})
    datasets = [
        FoundDataset(
            dataset_id=dataset_id,
            versions=[_with_before(known.get(one.version_id), one) for one in versions.values()],
        )
        for dataset_id, versions in merged.items()
    ]
    files = {file.file_id: file for file in [*before.files, *now.files]}
    return now.model_copy(
        update={
            "datasets": datasets,
            "files": list(files.values()),
            "num_rows": before.num_rows_erased + now.num_rows,
            "num_rows_erased": before.num_rows_erased,
            **{name: max(num, now.counts[name]) for name, num in before.counts.items()},
        }
    )


def _with_before(before: FoundVersion | None, now: FoundVersion) -> FoundVersion:
    if before is None or now is before:
        return now
    num_rows = before.num_rows + now.num_rows if before.is_done else max(before.num_rows, now.num_rows)
    return now.model_copy(update={"num_rows": num_rows})


def _with_done(datasets: Sequence[FoundDataset], version_id: str) -> list[FoundDataset]:
    return [
        dataset.model_copy(
            update={
                "versions": [
                    one.model_copy(update={"is_done": True}) if one.version_id == version_id else one
                    for one in dataset.versions
                ]
            }
        )
        for dataset in datasets
    ]


def _without_contents(inspection: dict[str, Any], terms: Sequence[str]) -> dict[str, Any]:
    columns = [{**column, "sample_values": []} for column in inspection.get("columns", [])]
    emptied = {**inspection, "sample": [], "speakers": [], "problems": [], "columns": columns}
    kept: dict[str, Any] = blanked(terms, emptied)
    return kept


def _blank(version: DatasetVersion, terms: Sequence[str]) -> None:
    """Take the words out of what the version tells of how it was made."""
    version.changes = blanked(terms, version.changes)
    if version.mapping is not None:
        words = {name: blanked(terms, version.mapping[name]) for name in MAPPING_WORDS if name in version.mapping}
        version.mapping = {**version.mapping, **words}


def _keys_of(version: DatasetVersion) -> list[str]:
    if version.artifact is None:
        return []
    artifact = VersionArtifact.model_validate(version.artifact)
    return [artifact.manifest_key, *(file.key for file in artifact.files)]


def _is_of_later_attempt(name: str, lease: Lease) -> bool:
    job_id, _, attempt = name.partition("/")[0].rpartition("-a")
    return job_id == lease.job_id and attempt.isdecimal() and int(attempt) > lease.attempt


def _in(found: Found, version_id: str) -> FoundVersion:
    return next(one for dataset in found.datasets for one in dataset.versions if one.version_id == version_id)


def _keep(erasure: Erasure, found: Found, **changes: object) -> None:
    erasure.found = found.model_copy(update=changes).model_dump(mode="json")


def _held(session: Session, lease: Lease, lease_s: float) -> Erasure:
    ingest.renew(session, lease, lease_s)
    return _erasure(session, lease)


def _erasure(session: Session, lease: Lease) -> Erasure:
    repository = ErasureRepository(session, lease.workspace_id)
    erasure = repository.get(str(lease.payload["erasure_id"]), for_update=True)
    if erasure is None:
        raise RuntimeError(f"job {lease.job_id} has no erasure")
    return erasure


def _version(session: Session, lease: Lease, version_id: str) -> DatasetVersion:
    version = WordsRepository(session, lease.workspace_id, []).version(version_id)
    if version is None:
        raise RuntimeError(f"version {version_id} is not there")
    return version
