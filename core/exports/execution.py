"""An export as its worker sees it: what to pack, and how it ended. Every write is guarded by the lease."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from core.adapters.models import Adapter
from core.backends.events import EventBus
from core.datasets import service as datasets
from core.datasets.types import RowKind, RowRecord, Split
from core.errors import Conflict, NotFound
from core.exports import origin, signing
from core.exports.archive import StoredFile
from core.exports.child import MAX_HELDOUT_ROWS
from core.exports.forms import ModelExportFormat
from core.exports.models import ModelExport
from core.exports.repository import EveryExportRepository, ExportRepository
from core.exports.signing import Signer
from core.exports.types import ExportWork
from core.jobs import service as jobs
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.kit.clock import utc_now
from core.kit.money import priced
from core.kit.sealing import Sealer
from core.usage import service as usage
from core.usage.models import LedgerKind
from core.workers.hardware import CPU

_SWEPT_AT_ONCE = 200


class Fenced(Conflict):
    """The job has been given to another worker, or is over: roll back, stop, publish nothing."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class Packed:
    """What an export came to; its files are in the object store by then."""

    files: Sequence[StoredFile]
    manifest_sha256: str
    report: dict[str, Any] | None
    seconds: float


def key_prefix(workspace_id: str, export_id: str) -> str:
    """Of all that is stored of an export. Each attempt has a folder of its own below it."""
    return f"workspaces/{workspace_id}/exports/{export_id}/"


def load(session: Session, lease: Lease, *, sealer: Sealer) -> tuple[ExportWork, Signer]:
    """Raises `Unsealable` on a machine that cannot open the signing key."""
    export, adapter = _found(session, lease)
    told = origin.told(session, export=export, adapter=adapter, asked_by=str(lease.payload["asked_by"]["name"]))
    data = told.get("data")
    work = ExportWork(
        row_kind=None if data is None else RowKind(data["kind"]),
        export_id=export.id, export_format=ModelExportFormat(export.format), adapter=adapter, told=told
    )  # fmt: skip
    return work, signing.signer(session, sealer=sealer)


def heldout_rows(session: Session, lease: Lease, work: ExportWork) -> Iterator[RowRecord]:
    """What the model was measured with, as far as that is still there; the first of it is enough."""
    data = work.told["data"]
    validation_id = data["validation_version_id"]
    split = Split.HELDOUT if validation_id is None else Split.TRAIN
    rows = datasets.stream_rows(
        session,
        workspace_id=lease.workspace_id,
        version_id=validation_id or data["dataset_version_id"],
        split=split,
    )
    yield from islice(rows, MAX_HELDOUT_ROWS)


def succeed(session: Session, lease: Lease, packed: Packed, *, keep_days: int, bus: EventBus | None = None) -> None:
    """Enter the files and the charge, and end the job: all of it or, if fenced, none."""
    export, adapter = _found(session, lease)
    export.files = [file.as_entry() for file in packed.files]
    export.manifest_sha256, export.report = packed.manifest_sha256, packed.report
    export.expires_at = utc_now() + timedelta(days=keep_days)
    export.seconds = packed.seconds
    export.cost_micros = priced(usage.price_at(session, hardware=CPU).micros_per_hour, packed.seconds)
    session.flush()
    usage.record(
        session,
        workspace_id=lease.workspace_id,
        kind=LedgerKind.EXPORT,
        source_id=export.id,
        amount_micros=export.cost_micros,
        seconds=packed.seconds,
        tokens=0,
        created_by=export.created_by,
        model=adapter.model_id,
    )
    if not jobs.finish(session, lease, JobState.SUCCEEDED, bus=bus):
        raise Fenced(f"Job {lease.job_id} is no longer ours.")


def over(session: Session) -> list[tuple[str, str]]:
    """Exports of all workspaces whose files are to be removed, by id, with where they are. Needs a system session."""
    found = EveryExportRepository(session).over(limit=_SWEPT_AT_ONCE)
    return [(export.id, key_prefix(export.workspace_id, export.id)) for export in found]


def mark_swept(session: Session, *, export_ids: Sequence[str]) -> None:
    """Their files are gone. Needs a system session."""
    EveryExportRepository(session).mark_swept(export_ids)


def _found(session: Session, lease: Lease) -> tuple[ModelExport, Adapter]:
    export_id = str(lease.payload["export_id"])
    found = ExportRepository(session, lease.workspace_id).find(export_id)
    if found is None:
        raise NotFound(f"There is no export {export_id}.", code="model_export_not_found", param="export_id")
    return found.export, found.adapter
