"""Files that are fetched from an address: asked for, followed, cancelled; and the worker's side, guarded by the lease.

An import is a job. Its address is sealed as long as it is needed, since whoever has it may read what is there, and
gone from the job when that is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.orm import Session

from core.audit import service as audit
from core.backends.events import EventBus
from core.backends.queue import TaskQueue
from core.config import Settings
from core.datasets import files
from core.datasets.formats.registry import refuse_unread
from core.datasets.models import File
from core.datasets.purposes import Purpose, check_purpose
from core.errors import NotFound
from core.jobs import service as jobs
from core.jobs.kinds import JobKind
from core.jobs.models import Job
from core.jobs.states import JobState
from core.jobs.types import Lease
from core.kit.ids import new_id
from core.kit.sealing import Sealer
from core.workspaces.principal import Principal
from core.workspaces.roles import Role

_ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class ImportDetails:
    job: Job
    file: File | None
    """What came of it, if it is done."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a worker is to fetch, and for whom."""

    url: str
    filename: str | None
    """As whoever asked for it wants it called; None for the name that it has there."""
    purpose: Purpose
    principal: Principal


class Fenced(Exception):
    """The lease is lost. The transaction must be rolled back and nothing more be written."""


def submit(
    session: Session,
    *,
    principal: Principal,
    settings: Settings,
    url: str,
    shown_as: str,
    filename: str | None,
    purpose: str,
    queue: TaskQueue | None,
) -> ImportDetails:
    """Have a file fetched. `shown_as` says where from, without a secret. The address must have been checked.

    Raises `Invalid` for what could not become a file anyway, and `TooLarge` if there is no room for any.
    """
    wanted = check_purpose(purpose)
    name = None if filename is None else files.safe_filename(filename)
    if name is not None and wanted is Purpose.FINE_TUNE:
        refuse_unread(name)
    files.check_room(
        session, workspace_id=principal.workspace_id, num_bytes=1, max_stored_bytes=settings.max_workspace_bytes
    )
    job_id = new_id("import_")
    job = jobs.submit(
        session,
        workspace_id=principal.workspace_id,
        kind=JobKind.FILE_IMPORT,
        job_id=job_id,
        payload={
            _ADDRESS: settings.sealer().seal(url, context=_context(job_id)),
            "from": shown_as,
            "filename": name,
            "purpose": wanted.value,
            "asked_by": {
                "user_id": principal.user_id,
                "name": principal.display_name,
                "api_key_id": principal.api_key_id,
            },
        },
        created_by=principal.user_id,
        queue=queue,
    )
    details = {"from": shown_as}
    audit.record(session, principal=principal, action="file.import_started", target_id=job.id, details=details)
    return ImportDetails(job, None)


def get(session: Session, *, workspace_id: str, import_id: str) -> ImportDetails:
    """Raises `NotFound`."""
    return _details(session, _job(session, workspace_id, import_id))


def cancel(session: Session, *, principal: Principal, import_id: str, bus: EventBus | None = None) -> ImportDetails:
    """Give it up. Twice changes nothing; raises `NotFound`, and `Conflict` for one that is over."""
    before = _job(session, principal.workspace_id, import_id)
    is_first = before.cancel_requested_at is None and before.state is not JobState.CANCELLED
    job = jobs.request_cancel(session, workspace_id=principal.workspace_id, job_id=import_id, bus=bus)
    if is_first:
        audit.record(session, principal=principal, action="file.import_cancelled", target_id=import_id)
    if job.state is JobState.CANCELLED:
        job = settle(session, job)
    return _details(session, job)


def settle(session: Session, job: Job) -> Job:
    """It is over: where it came from need not be known any more."""
    return jobs.forget(session, job, _ADDRESS)


def shown_as(url: str) -> str:
    """Where a file comes from, for people: the host, and no more of an address that may be a secret."""
    return (urlsplit(url).hostname or "")[:253]


def source_of(lease: Lease, sealer: Sealer) -> Source:
    """Raises `Unsealable` where the key is not known that sealed the address."""
    payload: Mapping[str, Any] = lease.payload
    return Source(
        url=sealer.open(str(payload[_ADDRESS]), context=_context(lease.job_id)),
        filename=payload["filename"],
        purpose=Purpose(payload["purpose"]),
        principal=Principal(
            workspace_id=lease.workspace_id,
            user_id=str(payload["asked_by"]["user_id"]),
            role=Role.MEMBER,
            display_name=str(payload["asked_by"]["name"]),
            api_key_id=payload["asked_by"]["api_key_id"],
        ),
    )


def succeed(session: Session, lease: Lease, file: File, *, bus: EventBus | None = None) -> None:
    """End the job in the transaction that enters its file. Raises `Fenced`, which undoes both."""
    if not jobs.finish(session, lease, JobState.SUCCEEDED, bus=bus, payload_changes={"file_id": file.id}):
        raise Fenced
    settle(session, jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id))


def name_of(source: Source, url: str, content_disposition: str | None) -> str:
    """What the file is called: as it was asked for, else as the server calls it, else as its address ends."""
    given = source.filename or _attached_name(content_disposition) or unquote(PurePosixPath(urlsplit(url).path).name)
    return files.safe_filename(given)


def _attached_name(content_disposition: str | None) -> str | None:
    if content_disposition is None:
        return None
    header = Message()
    header["content-disposition"] = content_disposition.replace("\r", " ").replace("\n", " ")
    return header.get_filename()


def _details(session: Session, job: Job) -> ImportDetails:
    file_id = job.payload.get("file_id")
    if file_id is None:
        return ImportDetails(job, None)
    return ImportDetails(job, files.get_even_deleted(session, workspace_id=job.workspace_id, file_id=str(file_id)))


def _job(session: Session, workspace_id: str, import_id: str) -> Job:
    try:
        job = jobs.get(session, workspace_id=workspace_id, job_id=import_id)
    except NotFound:
        job = None
    if job is None or job.kind is not JobKind.FILE_IMPORT:
        raise NotFound(f"There is no import {import_id} in this workspace.", code="import_not_found", param="import_id")
    return job


def _context(job_id: str) -> str:
    return f"import {job_id}"
