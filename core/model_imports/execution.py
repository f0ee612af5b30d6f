"""An import as its worker sees it: what to read, and how it ended. Every write is guarded by the lease."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.audit import service as audit
from core.backends.events import EventBus
from core.datasets import files as stored_files
from core.errors import Conflict, NotFound
from core.inference.types import Proof
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import EventLevel, Lease, NewEvent
from core.kit.clock import utc_now
from core.model_imports.child import ImportReport
from core.model_imports.lineage import ImportLineage, SourceFile
from core.model_imports.models import ModelImport
from core.model_imports.repository import EveryImportRepository, ImportRepository
from core.training.execution import Published
from core.workspaces import service as workspaces
from core.workspaces.principal import Principal
from core.workspaces.roles import Role

_SWEPT_AT_ONCE = 200


class Fenced(Conflict):
    """The job has been given to another worker, or is over: roll back, stop, publish nothing."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A file that is to be read."""

    about: SourceFile
    object_key: str


@dataclass(frozen=True, slots=True)
class ImportWork:
    """All that a worker needs to know of an import, without a session."""

    record: ModelImport
    sources: Sequence[StoredSource]


def key_prefix(workspace_id: str, import_id: str) -> str:
    """Of all that is stored of an import. Each attempt has a folder of its own below it."""
    return f"workspaces/{workspace_id}/imports/{import_id}/"


def load(session: Session, lease: Lease) -> ImportWork:
    """Raises `NotFound` (`file_not_found`) if a file was deleted since."""
    record = _record(session, lease)
    sources = []
    for entry in record.files:
        about = SourceFile.model_validate(entry)
        try:
            file = stored_files.get(session, workspace_id=lease.workspace_id, file_id=about.file_id)
        except NotFound:
            raise NotFound(
                f"{about.filename} was deleted before it was read. Upload it again, and begin anew.",
                code="file_not_found",
                param="file_ids",
            ) from None
        sources.append(StoredSource(about, file.object_key))
    return ImportWork(record, sources)


def succeed(
    session: Session,
    lease: Lease,
    *,
    published: Published,
    report: ImportReport,
    proof: Proof | None,
    bus: EventBus | None = None,
) -> str:
    """Enter the model and end the job: all of it or, if fenced, none. The model's id."""
    record, by = _record(session, lease), _asked_by(lease)
    adapter = adapters.register(
        session,
        workspace_id=lease.workspace_id,
        workspace_slug=workspaces.get_workspace(session, workspace_id=lease.workspace_id).slug,
        run_id=None,
        created_by=record.created_by,
        name=record.name,
        suffix=record.name,
        base_model=record.base_model,
        method=report.method,
        quantization=report.quantization,
        digest=published.digest,
        key_prefix=published.key_prefix,
        files=published.files,
        spec={},
        metrics={},
        proof=proof,
        lineage=_lineage(record, report, by=by.display_name).model_dump(mode="json"),
    )
    record.adapter_id = adapter.id
    audit.record(
        session,
        principal=by,
        action="model.imported",
        target_id=adapter.model_id,
        details={
            "import_id": record.id,
            "weights_sha256": report.weights_sha256,
            "base_evidence": report.base_evidence.value,
            "is_proved": None if proof is None else proof.is_passed,
        },
    )
    if not jobs.record_events(session, lease, [_told(adapter.model_id, proof)], bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")
    if not jobs.finish(session, lease, JobState.SUCCEEDED, bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")
    return adapter.model_id


def failed(session: Session) -> list[tuple[str, str]]:
    """Imports of all workspaces that came to nothing, by id, with where they left it. Needs a system session."""
    found = EveryImportRepository(session).failed(limit=_SWEPT_AT_ONCE)
    return [(record.id, key_prefix(record.workspace_id, record.id)) for record in found]


def mark_swept(session: Session, *, import_ids: Sequence[str]) -> None:
    """What they left is gone. Needs a system session."""
    EveryImportRepository(session).mark_swept(import_ids)


def _asked_by(lease: Lease) -> Principal:
    """Who began it, for the record of its end."""
    told = lease.payload["asked_by"]
    return Principal(
        workspace_id=lease.workspace_id,
        user_id=str(told["user_id"]),
        role=Role.MEMBER,
        display_name=str(told["name"]),
        api_key_id=told.get("api_key_id"),
    )


def _lineage(record: ModelImport, report: ImportReport, *, by: str) -> ImportLineage:
    return ImportLineage(
        import_id=record.id,
        imported_at=utc_now(),
        imported_by=by,
        files=[SourceFile.model_validate(entry) for entry in record.files],
        config_sha256=report.config_sha256,
        weights_sha256=report.weights_sha256,
        base_evidence=report.base_evidence,
        named_base=report.named_base,
        export=report.export,
    )


def _told(model_id: str, proof: Proof | None) -> NewEvent:
    if proof is not None and not proof.is_passed:
        message = f"{model_id} is entered and answers nobody, since a check failed. {proof.reason}"
        return NewEvent(message=message, level=EventLevel.WARN)
    checked = " It is checked before its first answer." if proof is None else ""
    return NewEvent(message=f"Brought in as {model_id}.{checked}")


def _record(session: Session, lease: Lease) -> ModelImport:
    import_id = str(lease.payload["import_id"])
    found = ImportRepository(session, lease.workspace_id).find(import_id)
    if found is None:
        raise NotFound(f"There is no model import {import_id}.", code="model_import_not_found", param="model_import_id")
    return found.record
