"""A tuned model as files to take away: asked for, followed, cancelled, fetched.

An export is a job. `core.exports.execution` is the worker's side; `core.exports.manifest` says what is signed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.model_ids import suffix_of
from core.adapters.types import ProofStatus
from core.audit import service as audit
from core.backends.blobs import BlobStore
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.config import Settings
from core.errors import Conflict, NotFound
from core.exports import archive, signing
from core.exports.archive import StoredFile
from core.exports.forms import ModelExportFormat
from core.exports.models import ModelExport, SigningKey
from core.exports.possibility import Choice, choices, refuse_impossible
from core.exports.repository import ExportRepository
from core.exports.types import ExportDetails
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.states import JobState
from core.kit.clock import utc_now
from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.serving import service as serving
from core.workspaces.principal import Principal


@dataclass(frozen=True, slots=True)
class Download:
    """One archive, or one file of it, on its way."""

    name: str
    media_type: str
    num_bytes: int
    chunks: Iterator[bytes]


def create(
    session: Session,
    *,
    principal: Principal,
    model_id: str,
    export_format: ModelExportFormat,
    settings: Settings,
    queue: TaskQueue | None,
) -> ExportDetails:
    """Have a model packed.

    Raises `NotFound`, `Invalid` for a model that has no such form (`export_not_possible`) or did not pass its proof,
    and `Conflict` while the same is made already.
    """
    adapter = adapters.get_by_model_id(session, workspace_id=principal.workspace_id, model_id=model_id)
    if adapter.proof_status is ProofStatus.FAILED:
        proof = adapter.proof or {}
        raise serving.proof_failed(model_id, proof.get("code"), proof.get("reason"))
    refuse_impossible(adapter, export_format)
    # the worker may be one that can open the key and must not make it
    signing.ensure_key(session, sealer=settings.sealer())
    repository = ExportRepository(session, principal.workspace_id)
    repository.hold_adapter(adapter.id)
    if other := repository.unfinished_of(adapter.id, export_format):
        raise Conflict(
            "This model is being packed in this form already. Wait until it is done, or cancel it first.",
            code="model_export_in_progress",
            details={"model_export_id": other},
        )
    export_id = new_id("export_")
    job = jobs.submit(
        session,
        workspace_id=principal.workspace_id,
        kind=JobKind.MODEL_EXPORT,
        payload={
            "export_id": export_id,
            "asked_by": {"user_id": principal.user_id, "name": principal.display_name},
        },
        created_by=principal.user_id,
        queue=queue,
    )
    repository.add(
        ModelExport(
            id=export_id,
            workspace_id=principal.workspace_id,
            created_by=principal.user_id,
            job_id=job.id,
            adapter_id=adapter.id,
            format=export_format,
            files=[],
        )
    )
    audit.record(
        session,
        principal=principal,
        action="model_export.created",
        target_id=export_id,
        details={"model": model_id, "format": export_format.value},
    )
    return get(session, workspace_id=principal.workspace_id, export_id=export_id)


def get(session: Session, *, workspace_id: str, export_id: str) -> ExportDetails:
    """Raises `NotFound`."""
    found = ExportRepository(session, workspace_id).find(export_id)
    if found is None:
        raise _not_found(export_id)
    return _told(session, [found])[0]


def choices_of(session: Session, *, workspace_id: str, model_id: str) -> list[Choice]:
    """Every form, and why a model cannot be had in some of them. Raises `NotFound`."""
    return choices(adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id))


def list_exports(
    session: Session, *, workspace_id: str, page: PageRequest, model_id: str | None = None
) -> Page[ExportDetails]:
    """Newest first; of one model, or of all. Raises `NotFound` for a model that is not there."""
    adapter_id = None
    if model_id is not None:
        adapter_id = adapters.get_by_model_id(session, workspace_id=workspace_id, model_id=model_id).id
    found = ExportRepository(session, workspace_id).page(page, adapter_id=adapter_id)
    return Page(items=_told(session, found.items), has_more=found.has_more)


def cancel(session: Session, *, principal: Principal, export_id: str, bus: EventBus | None = None) -> ExportDetails:
    """Give it up; it costs nothing. Twice changes nothing; raises `Conflict` for one that is over."""
    before = get(session, workspace_id=principal.workspace_id, export_id=export_id).job
    if before.state in {JobState.SUCCEEDED, JobState.FAILED}:
        raise Conflict(
            f"Export {export_id} has {before.state} already and cannot be cancelled any more.",
            code="job_state_conflict",
            details={"status": before.state.value},
        )
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    jobs.request_cancel(session, workspace_id=principal.workspace_id, job_id=before.id, bus=bus)
    if is_first:
        audit.record(session, principal=principal, action="model_export.cancelled", target_id=export_id)
    return get(session, workspace_id=principal.workspace_id, export_id=export_id)


def download(
    session: Session, *, principal: Principal, export_id: str, file_name: str | None, blobs: BlobStore
) -> Download:
    """All of it as a zip archive, or one file. That somebody took it is an event.

    Raises `Conflict` for one that is not done, and `NotFound` for one that expired or whose model was deleted, and for
    a file that is not in it.
    """
    found = get(session, workspace_id=principal.workspace_id, export_id=export_id)
    if found.adapter.deleted_at is not None:
        raise adapters.model_not_found(found.adapter.model_id)
    files = _fetchable(found)
    audit.record(
        session,
        principal=principal,
        action="model_export.downloaded",
        target_id=export_id,
        details={"model": found.adapter.model_id, "format": found.export.format, "file": file_name},
    )
    if file_name is None:
        folder = folder_of(found)
        # the first bytes are read here, so that a store that is away is an error and not half an answer
        chunks = archive.chunks_of(files, folder=folder, read=blobs.read_chunks)
        num_bytes = archive.size_of(files, folder=folder)
        return Download(f"{folder}.zip", "application/zip", num_bytes, _begun(chunks, num_first=2))
    for file in files:
        if file.name == file_name:
            chunks = blobs.read_chunks(file.key)
            return Download(file.name, "application/octet-stream", file.num_bytes, _begun(chunks, num_first=1))
    raise NotFound(
        f"There is no file {file_name[:100]!r} in this export. It has: {', '.join(file.name for file in files)}.",
        code="model_export_file_not_found",
        param="file",
    )


def folder_of(found: ExportDetails) -> str:
    """What the archive unpacks to; the end of the id, so that two exports of a model do not mix."""
    name = found.adapter.name or found.adapter.model_id.split(":")[-1]
    plain = suffix_of(name) or "model"
    return f"{plain}-{found.export.format}-{found.export.id[-6:]}"


def is_expired(export: ModelExport) -> bool:
    """Whether it was done once, and its files are gone."""
    return export.expires_at is not None and (export.swept_at is not None or export.expires_at <= utc_now())


def public_key(session: Session, *, settings: Settings) -> SigningKey:
    """What manifests of this installation are signed with; made when it is first asked for."""
    return signing.ensure_key(session, sealer=settings.sealer())


def _told(session: Session, found: Sequence[ExportDetails]) -> list[ExportDetails]:
    """With what they wait for."""
    waits = jobs.waits_of(session, (one.job for one in found))
    return [replace(one, wait=waits.get(one.job.id)) for one in found]


def _fetchable(found: ExportDetails) -> list[StoredFile]:
    export, job = found.export, found.job
    if job.state is not JobState.SUCCEEDED:
        raise Conflict(
            f"Export {export.id} is {job.state}, so there is nothing to fetch"
            + (" yet. Wait until it is done." if job.finished_at is None else ". Pack the model again."),
            code="model_export_not_ready",
            details={"status": job.state.value},
        )
    if is_expired(export):
        raise NotFound(
            f"The files of export {export.id} were kept until {export.expires_at:%Y-%m-%d} and are gone. Pack the "
            "model again; that makes the same.",
            code="model_export_expired",
            param="export_id",
        )
    return [StoredFile.of(entry) for entry in export.files]


def _begun(chunks: Iterator[bytes], *, num_first: int) -> Iterator[bytes]:
    first = [chunk for _, chunk in zip(range(num_first), chunks, strict=False)]

    def all_of_them() -> Iterator[bytes]:
        yield from first
        yield from chunks

    return all_of_them()


def _not_found(export_id: str) -> NotFound:
    return NotFound(
        f"There is no export {export_id} in this workspace.", code="model_export_not_found", param="export_id"
    )
