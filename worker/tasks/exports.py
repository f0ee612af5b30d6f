"""Packing a tuned model: its files from the object store, a card and a signed manifest, and all of it back there.

An attempt that is stopped is begun anew by the next: nothing is visible before the last transaction.
"""

import json
import shutil
import sys
import time
import zlib
from pathlib import Path
from typing import Any, cast

from sqlalchemy.orm import Session

from core.adapters import service as adapters
from core.adapters.types import PARITY_FILE
from core.db.session import workspace_scope
from core.errors import Unavailable
from core.exports import adapter_files, card, execution, manifest
from core.exports import child as child_files
from core.exports.archive import StoredFile
from core.exports.child import PackReport, PackSpec
from core.exports.execution import Fenced, Packed
from core.exports.forms import CARD, MANIFEST, SIGNATURE, ModelExportFormat
from core.exports.signing import Signer
from core.exports.types import ExportWork
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, Failure, failure_of
from core.jobs.models import Job
from core.jobs.states import Blame, JobState
from core.jobs.types import JobError, Lease
from core.kit.clock import utc_now
from core.kit.hashing import sha256_bytes, sha256_file
from core.kit.sealing import Unsealable
from worker import base_model_supply
from worker.context import WorkContext
from worker.supervise import ChildResult, run_child
from worker.tasks import publishing, run_folder, verified_store
from worker.tasks.endings import give_back_or_fail
from worker.tasks.patience import as_long_as_ours, patiently

_PATIENCE_S = 10 * 60
_CHUNK_BYTES = 1 << 20
_LOST_KEY = JobError(
    code="signing_key_lost",
    message="The key that manifests are signed with cannot be opened on the machine that packed this. Have an admin "
    "compare TAILORBIRD_ENCRYPTION_KEYS (or TAILORBIRD_SECRET_KEY) of the workers with that of the api.",
)


def run(context: WorkContext, lease: Lease) -> None:
    """Do all of it."""
    folder = context.settings.runs_dir.resolve() / lease.job_id / f"a{lease.attempt}"
    shutil.rmtree(folder.parent, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        _run(context, lease, folder)
    except Fenced:
        return
    except _Failed as failed:
        child = failed.child
        failure = failure_of(
            child.exit_code,
            child.error,
            memory_was_exhausted=child.memory_was_exhausted,
            made_no_progress=child.made_no_progress,
        )
        _fail(context, lease, failure, child.error)
    except Unsealable:
        as_long_as_ours(context, lambda: _end_without_key(context, lease), what="a failure")
    except Unavailable as error:
        code = error.error_code if error.error_code in FAILURES else "internal_error"
        _fail(context, lease, FAILURES[code], None)
    finally:
        shutil.rmtree(folder.parent, ignore_errors=True)


def settle(session: Session, job: Job) -> None:
    """Nothing to bring in order: an export without files is none, and what it left is swept."""


def _run(context: WorkContext, lease: Lease, folder: Path) -> None:
    started = time.monotonic()
    work, signer = patiently(context, lambda: _load(context, lease), what="the start of an export", for_s=_PATIENCE_S)
    if work.export_format is not ModelExportFormat.ADAPTER:
        # before anything is fetched: if the base is missing here, all of it is done again
        base_model_supply.require(context.settings, work.adapter.base_model)
    source, packed = folder / child_files.ADAPTER, folder / child_files.PACKED
    source.mkdir(exist_ok=True)
    packed.mkdir(exist_ok=True)
    _stage(context, "fetching")
    trained = patiently(context, lambda: _fetch(context, work, source), what="fetching the model", for_s=_PATIENCE_S)
    if work.export_format is ModelExportFormat.ADAPTER:
        _pack_adapter(work, source, packed)
        report = None
    else:
        report = _pack_whole(context, lease, work, folder)
    _sign(work, signer, source=source, packed=packed, trained=trained, report=report)
    _stage(context, "publishing")
    prefix = f"{execution.key_prefix(lease.workspace_id, work.export_id)}a{lease.attempt}"
    files = patiently(context, lambda: _publish(context, packed, prefix), what="storing the export", for_s=_PATIENCE_S)
    done = Packed(
        files=files,
        manifest_sha256=sha256_file(packed / MANIFEST),
        report=report,
        seconds=round(time.monotonic() - started, 3),
    )
    patiently(context, lambda: _succeed(context, lease, done), what="an export's end", for_s=_PATIENCE_S)


def _load(context: WorkContext, lease: Lease) -> tuple[ExportWork, Signer]:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        loaded = execution.load(session, lease, sealer=context.settings.sealer())
        session.expunge_all()
        return loaded


def _fetch(context: WorkContext, work: ExportWork, into: Path) -> dict[str, Any]:
    """The adapter's files, each with its digest compared; what its trainer wrote down of it."""
    blobs, adapter = context.backends.blobs, work.adapter
    for file in adapters.files_of(adapter):
        path = into / file.name
        blobs.download(file.key, path)
        if sha256_file(path) != file.sha256:
            raise Unavailable(f"{file.key} came back damaged.", code="adapter_damaged")
    content = blobs.read_bytes(f"{adapter.key_prefix}/{publishing.MANIFEST}")
    if sha256_bytes(content) != adapter.digest:
        raise Unavailable(f"The manifest of {adapter.model_id} came back damaged.", code="adapter_damaged")
    found: dict[str, Any] = json.loads(content)
    return found


class _Failed(Exception):
    """The child could not pack it."""

    def __init__(self, child: ChildResult) -> None:
        super().__init__(child.exit_code)
        self.child = child


def _pack_whole(context: WorkContext, lease: Lease, work: ExportWork, folder: Path) -> dict[str, Any]:
    """The child's work: what was measured on the way. Raises `_Failed`."""
    adapter = work.adapter
    if work.row_kind is not None:
        patiently(context, lambda: _write_rows(context, lease, work, folder), what="its rows", for_s=_PATIENCE_S)
    spec = PackSpec(
        format=work.export_format,
        base_model=adapter.base_model,
        base_model_dir=base_model_supply.require(context.settings, adapter.base_model),
        method=adapter.method,
        quantization=cast("Any", adapter.quantization),
        model_name=adapter.name or adapter.model_id,
        row_kind=work.row_kind,
        num_threads=context.settings.num_cpu_threads,
    )
    (folder / child_files.SPEC).write_text(spec.model_dump_json(indent=2), encoding="utf-8")
    child = run_child([sys.executable, "-m", "worker.export", str(folder)], folder, lease, context=context)
    if child.exit_code != ExitCode.DONE:
        raise _Failed(child)
    report = PackReport.model_validate_json((folder / child_files.REPORT).read_bytes())
    return report.model_dump(mode="json")


def _write_rows(context: WorkContext, lease: Lease, work: ExportWork, folder: Path) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        run_folder.write_rows(folder / child_files.HELDOUT, execution.heldout_rows(session, lease, work))


def _pack_adapter(work: ExportWork, source: Path, packed: Path) -> None:
    """What plain PEFT loads, and what the trainer wrote down to compare with."""
    config = (source / adapter_files.CONFIG).read_bytes()
    (packed / adapter_files.CONFIG).write_bytes(adapter_files.config_for_others(config, work.adapter.base_model))
    for name in (adapter_files.WEIGHTS, PARITY_FILE):
        if (source / name).exists():
            (source / name).rename(packed / name)


def _sign(
    work: ExportWork,
    signer: Signer,
    *,
    source: Path,
    packed: Path,
    trained: dict[str, Any],
    report: dict[str, Any] | None,
) -> None:
    """The card, then the manifest that has its digest too, then the signature."""
    reference = next((one / PARITY_FILE for one in (packed, source) if (one / PARITY_FILE).exists()), None)
    identity = {} if reference is None else adapter_files.identity_in(reference.read_bytes())
    (packed / CARD).write_bytes(card.write(work, trained=trained, report=report))
    files = {path.name: (sha256_file(path), path.stat().st_size) for path in packed.iterdir()}
    signed = manifest.build(
        work, files=files, trained=trained, identity=identity, report=report, made_at=utc_now()
    )  # fmt: skip
    (packed / MANIFEST).write_bytes(signed)
    (packed / SIGNATURE).write_bytes(signer.signature_file(signed))


def _publish(context: WorkContext, packed: Path, prefix: str) -> list[StoredFile]:
    """Every file, read back and compared; the manifest and what tells of it first, as people look for it."""
    first = (CARD, MANIFEST, SIGNATURE)
    paths = sorted(packed.iterdir(), key=lambda path: (path.name not in first, path.name))
    stored = []
    for number, path in enumerate(paths, 1):
        sha256, crc32 = _digests(path)
        key = f"{prefix}/{path.name}"
        verified_store.put_verified(context.backends.blobs, key, path, sha256)
        stored.append(
            StoredFile(name=path.name, key=key, sha256=sha256, crc32=crc32, num_bytes=path.stat().st_size)
        )  # fmt: skip
        if context.keeper is not None:
            context.keeper.note({"type": "progress", "step": number, "total_steps": len(paths)})
    return stored


def _digests(path: Path) -> tuple[str, int]:
    crc32 = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            crc32 = zlib.crc32(chunk, crc32)
    return sha256_file(path), crc32


def _stage(context: WorkContext, stage: str) -> None:
    """Also the place where a cancel is heard between two pieces of work."""
    if context.keeper is not None:
        context.keeper.note({"type": "stage", "stage": stage})


def _succeed(context: WorkContext, lease: Lease, done: Packed) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        execution.succeed(
            session, lease, done, keep_days=context.settings.export_days, bus=context.backends.events
        )  # fmt: skip


def _end_without_key(context: WorkContext, lease: Lease) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        jobs.finish(
            session, lease, JobState.FAILED, error=_LOST_KEY, blame=Blame.PLATFORM_ERROR, bus=context.backends.events
        )


def _fail(context: WorkContext, lease: Lease, failure: Failure, reported: JobError | None) -> None:
    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            give_back_or_fail(session, lease, failure, reported=reported, bus=context.backends.events)

    as_long_as_ours(context, enter, what="a failure")
