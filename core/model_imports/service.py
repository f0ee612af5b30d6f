"""A model made elsewhere, brought in: asked for, followed, cancelled.

An import is a job. `core.model_imports.execution` is the worker's side.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.base_models import service as base_models
from core.config import Settings
from core.datasets import files as stored_files
from core.datasets.models import File
from core.errors import Conflict, Invalid, NotFound, TooLarge
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.states import JobState
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.model_imports import names
from core.model_imports.lineage import SourceFile
from core.model_imports.models import ModelImport
from core.model_imports.repository import ImportRepository
from core.model_imports.types import ImportDetails
from core.training.methods import Quantization
from core.workspaces.principal import Principal


def create(
    session: Session,
    *,
    principal: Principal,
    file_ids: Sequence[str],
    name: str,
    base_model: str,
    is_base_confirmed: bool,
    quantization: Quantization | None,
    settings: Settings,
    queue: TaskQueue | None,
) -> ImportDetails:
    """Have a model made elsewhere read, checked and proved.

    Raises `NotFound` for a base or a file that is not there, `Invalid` for files that by their names are no adapter
    (`adapter_files_incomplete`) or may be a pickle (`pickle_refused`), and `TooLarge` if there is no room for it.
    """
    base = base_models.get(base_model)
    found = _files(session, principal.workspace_id, file_ids)
    names.check_given([file.filename for file in found])
    _check_room(session, principal.workspace_id, sum(file.num_bytes for file in found), settings)
    import_id = new_id("import_")
    job = jobs.submit(
        session,
        workspace_id=principal.workspace_id,
        kind=JobKind.MODEL_IMPORT,
        payload={"import_id": import_id, "name": name, "asked_by": _asked_by(principal)},
        created_by=principal.user_id,
        queue=queue,
    )
    ImportRepository(session, principal.workspace_id).add(
        ModelImport(
            id=import_id,
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            job_id=job.id,
            name=name,
            base_model=base.id,
            is_base_confirmed=is_base_confirmed,
            quantization=quantization,
            files=[_source(file).model_dump(mode="json") for file in found],
        )
    )
    audit.record(
        session,
        principal=principal,
        action="model_import.created",
        target_id=import_id,
        details={
            "file_ids": [file.id for file in found],
            "base_model": base.id,
            "is_base_confirmed": is_base_confirmed,
        },
    )
    return get(session, workspace_id=principal.workspace_id, import_id=import_id)


def get(session: Session, *, workspace_id: str, import_id: str) -> ImportDetails:
    """Raises `NotFound`."""
    found = ImportRepository(session, workspace_id).find(import_id)
    if found is None:
        raise NotFound(
            f"There is no model import {import_id} in this workspace.",
            code="model_import_not_found",
            param="model_import_id",
        )
    return _told(session, [found])[0]


def list_imports(session: Session, *, workspace_id: str, page: PageRequest) -> Page[ImportDetails]:
    """Newest first."""
    found = ImportRepository(session, workspace_id).page(page)
    return Page(items=_told(session, found.items), has_more=found.has_more)


def cancel(session: Session, *, principal: Principal, import_id: str, bus: EventBus | None = None) -> ImportDetails:
    """Give it up. Twice changes nothing; raises `Conflict` for one that is over."""
    before = get(session, workspace_id=principal.workspace_id, import_id=import_id).job
    if before.state in {JobState.SUCCEEDED, JobState.FAILED}:
        raise Conflict(
            f"The import {import_id} has {before.state} already and cannot be cancelled any more.",
            code="job_state_conflict",
            details={"status": before.state.value},
        )
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    jobs.request_cancel(session, workspace_id=principal.workspace_id, job_id=before.id, bus=bus)
    if is_first:
        audit.record(session, principal=principal, action="model_import.cancelled", target_id=import_id)
    return get(session, workspace_id=principal.workspace_id, import_id=import_id)


def _told(session: Session, found: Sequence[ImportDetails]) -> list[ImportDetails]:
    """With what they wait for."""
    waits = jobs.waits_of(session, (one.job for one in found))
    return [replace(one, wait=waits.get(one.job.id)) for one in found]


def _files(session: Session, workspace_id: str, file_ids: Sequence[str]) -> list[File]:
    if len(set(file_ids)) != len(file_ids):
        raise Invalid("Name each file once.", code="invalid_value", param="file_ids")
    try:
        return [stored_files.hold(session, workspace_id=workspace_id, file_id=file_id) for file_id in file_ids]
    except NotFound as error:
        raise NotFound(error.message, code=error.error_code, param="file_ids") from error


def _asked_by(principal: Principal) -> dict[str, str | None]:
    """For the record of the end, which is made by a worker."""
    return {
        "user_id": principal.user_id,
        "name": principal.display_name,
        "api_key_id": principal.api_key_id,
    }


def _source(file: File) -> SourceFile:
    return SourceFile(file_id=file.id, filename=file.filename, sha256=file.sha256, num_bytes=file.num_bytes)


def _check_room(session: Session, workspace_id: str, num_bytes: int, settings: Settings) -> None:
    """Imported weights are kept beside the files that they came in, and when those are deleted too."""
    kept = adapters.num_imported_bytes(session, workspace_id=workspace_id)
    try:
        stored_files.check_room(
            session,
            workspace_id=workspace_id,
            num_bytes=kept + num_bytes,
            max_stored_bytes=settings.max_workspace_bytes,
        )
    except TooLarge as error:
        raise TooLarge(
            f"{error.message} The weights of imported models count too.",
            code=error.error_code,
            param="file_ids",
            details=error.details,
        ) from error
