"""A person's right to be forgotten: searched for, shown, confirmed, and told at the end what was done.

The one exception to versions that never change (docs/adr/0016). `core.erasures.execution` is the worker's side.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.datasets import closing
from core.datasets import service as datasets
from core.datasets.models import DatasetVersion
from core.erasures import words
from core.erasures.models import Erasure
from core.erasures.repository import ErasureRepository, RowKey, WordsRepository
from core.erasures.texts.repository import TextsRepository
from core.erasures.types import (
    ByHand,
    ByHandKind,
    ErasureStatus,
    Found,
    FoundDataset,
    FoundFile,
    FoundModel,
    FoundVersion,
    RowPlace,
)
from core.errors import Conflict, Invalid, NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.states import TERMINAL
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.kit.sealing import Sealer
from core.training import lineage
from core.workspaces.principal import Principal

MAX_ROWS = 10_000
_MAX_EXAMPLES = 10
_MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True)
class ErasureDetails:
    erasure: Erasure
    found: Found
    job: Job | None

    @property
    def status(self) -> ErasureStatus:
        if self.erasure.finished_at is not None:
            return ErasureStatus.ERASED
        if self.job is None:
            return ErasureStatus.FOUND
        return ErasureStatus.FAILED if self.job.state in TERMINAL else ErasureStatus.ERASING


def search(session: Session, *, principal: Principal, terms: Sequence[str], sealer: Sealer) -> ErasureDetails:
    """Look for a person by any of the terms. Nothing is removed. Raises `Invalid` for too many rows."""
    wanted = words.checked(terms)
    found = find(session, workspace_id=principal.workspace_id, terms=wanted)
    erasure_id = new_id("erase_")
    erasure = ErasureRepository(session, principal.workspace_id).add(
        Erasure(
            id=erasure_id,
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            sealed_terms=sealer.seal(json.dumps(wanted), context=_context(erasure_id)),
            num_terms=len(wanted),
            found=found.model_dump(mode="json"),
        )
    )
    audit.record(
        session,
        principal=principal,
        action="erasure.searched",
        target_id=erasure_id,
        details={"num_terms": len(wanted), "num_rows": found.num_rows},
    )
    return ErasureDetails(erasure, found, None)


def get(session: Session, *, workspace_id: str, erasure_id: str) -> ErasureDetails:
    """Raises `NotFound`."""
    return _details(session, _existing(ErasureRepository(session, workspace_id).get(erasure_id), erasure_id))


def list_erasures(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ErasureDetails]:
    """Newest first."""
    found = ErasureRepository(session, workspace_id).page(page)
    return Page(items=[_details(session, one) for one in found.items], has_more=found.has_more)


def confirm(
    session: Session,
    *,
    principal: Principal,
    erasure_id: str,
    queue: TaskQueue | None = None,
    bus: EventBus | None = None,
) -> ErasureDetails:
    """Begin to remove, for good. Twice changes nothing; one that failed goes on where it was.

    Raises `Conflict` while a version is being made or a run learns from such rows: they would keep what is removed.
    """
    workspace_id = principal.workspace_id
    repository = ErasureRepository(session, workspace_id)
    erasure = _existing(repository.get(erasure_id, for_update=True), erasure_id)
    details = _details(session, erasure)
    if details.status in {ErasureStatus.ERASING, ErasureStatus.ERASED}:
        return details
    closing.close(session, workspace_id=workspace_id)
    _refuse_while_in_use(session, workspace_id, details.found)
    if details.job is not None:
        job = jobs.resume(session, workspace_id=workspace_id, job_id=details.job.id, queue=queue, bus=bus)
    else:
        job = jobs.submit(
            session,
            workspace_id=workspace_id,
            kind=JobKind.PERSON_ERASURE,
            payload={
                "erasure_id": erasure_id,
                "asked_by": {"user_id": principal.user_id, "name": principal.display_name},
            },
            created_by=principal.user_id,
            queue=queue,
        )
        erasure.job_id, erasure.confirmed_by, erasure.confirmed_at = job.id, principal.user_id, utc_now()
    audit.record(
        session,
        principal=principal,
        action="erasure.confirmed",
        target_id=erasure_id,
        details={"num_rows": details.found.num_rows},
    )
    return ErasureDetails(erasure, details.found, job)


def discard(session: Session, *, principal: Principal, erasure_id: str) -> None:
    """Forget a search, with what was searched for. Raises `Conflict` for one that was confirmed."""
    repository = ErasureRepository(session, principal.workspace_id)
    erasure = _existing(repository.get(erasure_id, for_update=True), erasure_id)
    if erasure.job_id is not None:
        raise Conflict(
            "This erasure was confirmed, so it stays as the record of what was removed.",
            code="erasure_confirmed",
        )
    repository.remove(erasure)
    audit.record(session, principal=principal, action="erasure.discarded", target_id=erasure_id)


def terms_of(erasure: Erasure, sealer: Sealer) -> list[str]:
    """Raises `Unsealable` where the key is not known that sealed them."""
    found: list[str] = json.loads(sealer.open(str(erasure.sealed_terms), context=_context(erasure.id)))
    return found


def find(session: Session, *, workspace_id: str, terms: Sequence[str], max_rows: int | None = MAX_ROWS) -> Found:
    """Everything in the workspace that holds one of the terms. Raises `Invalid` for more rows than may be."""
    repository = WordsRepository(session, workspace_id, terms)
    texts = TextsRepository(session, workspace_id, terms)
    keys = repository.rows(limit=sys.maxsize if max_rows is None else max_rows)
    if max_rows is not None and len(keys) > max_rows:
        raise Invalid(
            f"More than {max_rows:,} rows hold these words, so they do not tell one person. Look for a full name, an "
            "address or a number instead.",
            code="too_many_matches",
            param="terms",
        )
    versions = repository.versions({key.reading_id for key in keys})
    counts = {version.id: sum(key.is_in(version) for key in keys) for version in versions}
    touched = [version for version in versions if counts[version.id] or repository.tells(version)]
    with_rows = {version.dataset_id for version in touched if counts[version.id]}
    dataset_ids = {version.dataset_id for version in touched}
    made_of = {
        datasets.get_even_deleted(session, workspace_id=workspace_id, dataset_id=one).file_id for one in with_rows
    }
    files = [file for file in repository.files(with_rows) if file.id in made_of or repository.holds(file)]
    return Found(
        num_rows=len(keys),
        datasets=_by_dataset(touched, counts),
        files=[FoundFile(file_id=file.id, is_deleted=file.deleted_at is not None) for file in files],
        models=models_of(session, workspace_id=workspace_id, version_ids=[one.id for one in touched]),
        **texts.counts(),
        num_preferences=len(repository.preference_ids()),
        num_drafts=len(repository.drafts(dataset_ids)),
        by_hand=[
            *texts.named(),
            *(
                ByHand(kind=ByHandKind.IMPORTED_MODEL, id=one.model_id)
                for one in adapters.imported(session, workspace_id=workspace_id)
                if one.deleted_at is None
            ),
        ],
        examples=_places(keys, touched),
    )


def models_of(session: Session, *, workspace_id: str, version_ids: Sequence[str]) -> list[FoundModel]:
    """Every model, its checkpoints too, whose run learned from one of the versions or was measured with it."""
    if not version_ids:
        return []
    runs = lineage.of_versions(session, workspace_id=workspace_id, version_ids=version_ids, limit=_MAX_RUNS)
    return [
        FoundModel(
            model_id=adapter.model_id,
            name=adapter.name,
            run_id=details.run.id,
            is_deleted=adapter.deleted_at is not None,
        )
        for details in runs
        for adapter in sorted(
            adapters.of_run(session, workspace_id=workspace_id, run_id=details.run.id), key=lambda one: one.id
        )
    ]


def _refuse_while_in_use(session: Session, workspace_id: str, found: Found) -> None:
    if WordsRepository(session, workspace_id, []).in_progress():
        raise Conflict(
            "A version of a dataset is being made in this workspace, and might keep what is to be removed. Wait until "
            "it is ready, then confirm again.",
            code="dataset_version_in_progress",
        )
    if jobs.is_any_open(session, workspace_id=workspace_id, kind=JobKind.SCALING_STUDY):
        raise Conflict(
            "It is being judged in this workspace whether examples are enough, which reads rows. Cancel that, or wait "
            "until it is done, then confirm again.",
            code="erasure_runs_open",
        )
    runs = lineage.of_versions(session, workspace_id=workspace_id, version_ids=found.version_ids, limit=_MAX_RUNS)
    running = [one.run.id for one in runs if one.job.state not in TERMINAL]
    if running:
        raise Conflict(
            f"{len(running)} training {'run learns' if len(running) == 1 else 'runs learn'} from rows that are to be "
            "removed, or will. Cancel them, or wait until they are done, then confirm again.",
            code="erasure_runs_open",
            details={"fine_tuning_job_ids": running[:20]},
        )


def _by_dataset(versions: Sequence[DatasetVersion], counts: dict[str, int]) -> list[FoundDataset]:
    found: dict[str, list[FoundVersion]] = {}
    for version in versions:
        one = FoundVersion(version_id=version.id, number=version.number, num_rows=counts[version.id])
        found.setdefault(version.dataset_id, []).append(one)
    return [FoundDataset(dataset_id=dataset_id, versions=theirs) for dataset_id, theirs in found.items()]


def _places(keys: Sequence[RowKey], versions: Sequence[DatasetVersion]) -> list[RowPlace]:
    places = []
    for key in keys[:_MAX_EXAMPLES]:
        newest = next((one for one in reversed(versions) if key.is_in(one)), None)
        if newest is not None:
            places.append(RowPlace(version_id=newest.id, number=key.number))
    return places


def _details(session: Session, erasure: Erasure) -> ErasureDetails:
    job = None
    if erasure.job_id is not None:
        job = jobs.get(session, workspace_id=erasure.workspace_id, job_id=erasure.job_id)
    return ErasureDetails(erasure, Found.model_validate(erasure.found), job)


def _existing(erasure: Erasure | None, erasure_id: str) -> Erasure:
    if erasure is None:
        raise NotFound(
            f"There is no erasure {erasure_id} in this workspace. It may have been discarded.",
            code="erasure_not_found",
            param="erasure_id",
        )
    return erasure


def _context(erasure_id: str) -> str:
    return f"erasure {erasure_id}"
