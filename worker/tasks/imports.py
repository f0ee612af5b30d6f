"""Fetching a file from an address: its bytes to a temporary file, then the same way as an upload of one piece."""

import contextlib
import threading
import time

from sqlalchemy.orm import Session

from core.backends.outbound import Answer, Unreachable
from core.datasets import files, imports
from core.datasets.imports import Source
from core.datasets.incoming import IncomingFile
from core.datasets.models import File
from core.db.session import workspace_scope
from core.errors import AppError, InsufficientStorage, Invalid, TooLarge, Unavailable
from core.jobs import service as jobs
from core.jobs.failures import FAILURES
from core.jobs.models import Job
from core.jobs.states import TERMINAL, Blame, JobState
from core.jobs.types import JobError, Lease
from core.kit.sealing import Unsealable
from worker.context import WorkContext
from worker.tasks.endings import give_back_or_fail
from worker.tasks.patience import patiently

_PATIENCE_S = 60.0
_SILENCE_S = 60.0
_TELL_EVERY_S = 0.5
_BROKEN_SERVER = 500
_TOO_MANY_REQUESTS = 429


def run(context: WorkContext, lease: Lease) -> None:
    """Do one attempt; any end but success leaves neither a file nor its bytes."""
    fetch = _Fetch(context, lease)
    try:
        patiently(context, fetch.once, what=f"the import {lease.job_id}", for_s=_PATIENCE_S)
    except imports.Fenced:
        return
    except Unsealable:
        code, words = "import_address_lost", "Where the file was to come from cannot be read any more. Import it anew."
        _fail(context, lease, JobError(code=code, message=words))
    except AppError as error:
        _end(context, lease, error)
    finally:
        fetch.is_over.set()


def settle(session: Session, job: Job) -> None:
    """The job ended without its worker."""
    imports.settle(session, job)


class _Fetch:
    """One attempt, in a thread that may be left behind: it stops at its next chunk, and enters nothing any more."""

    def __init__(self, context: WorkContext, lease: Lease) -> None:
        self._context, self._lease = context, lease
        self._num_bytes = self._total_bytes = 0
        self._told_at = 0.0
        self.is_over = threading.Event()

    def once(self) -> None:
        settings, backends = self._context.settings, self._context.backends
        source = imports.source_of(self._lease, settings.sealer())
        receiver = _Receiver(self._context, source)
        self._num_bytes = self._total_bytes = 0

        def began(url: str, answer: Answer) -> None:
            self._total_bytes = receiver.begin(url, answer)

        def take(chunk: bytes) -> bool:
            self._num_bytes += len(chunk)
            self._tell()
            return receiver.incoming.feed(chunk) and not self.is_over.is_set()

        with contextlib.closing(receiver):
            backends.outbound.download(
                source.url, began=began, take=take, timeout_s=settings.import_timeout_s, silence_s=_SILENCE_S
            )
            if not self.is_over.is_set():
                self._tell(is_last=True)
                receiver.incoming.finish(
                    principal=source.principal,
                    database=self._context.database,
                    blobs=backends.blobs,
                    purpose=source.purpose,
                    max_stored_bytes=settings.max_workspace_bytes,
                    beside=self._succeed,
                )

    def _succeed(self, session: Session, file: File) -> None:
        imports.succeed(session, self._lease, file, bus=self._context.backends.events)

    def _tell(self, *, is_last: bool = False) -> None:
        """How far it is, in bytes; a total of 0 is an unknown one."""
        now = time.monotonic()
        if self._context.keeper is not None and (is_last or now - self._told_at >= _TELL_EVERY_S):
            self._told_at = now
            line = {"type": "progress", "step": self._num_bytes, "total_steps": self._total_bytes}
            self._context.keeper.note(line)


class _Receiver:
    """Takes the bytes once their sender has said what they are."""

    def __init__(self, context: WorkContext, source: Source) -> None:
        self._context, self._source = context, source
        self._incoming: IncomingFile | None = None

    @property
    def incoming(self) -> IncomingFile:
        if self._incoming is None:
            raise RuntimeError("a body came before its head")
        return self._incoming

    def begin(self, url: str, answer: Answer) -> int:
        """How many bytes are to come, 0 if that is not said. Raises `AppError` for an answer that is no file."""
        host = imports.shown_as(url)
        _check_status(host, answer.status)
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise Invalid(
                f"{host} sends the file packed ({encoding[:40]}), though it was asked not to. Download and upload it.",
                code="import_packed",
                param="url",
            )
        announced = answer.headers.get("content-length", "")
        num_bytes = int(announced) if announced.isascii() and announced.isdecimal() else 0
        settings, principal = self._context.settings, self._source.principal
        if num_bytes > settings.max_upload_in_parts_bytes:
            raise TooLarge(
                f"The file has {num_bytes:,} bytes, and {settings.max_upload_in_parts_bytes:,} is the most that is "
                "accepted here. Split it, or keep only the columns that are questions and answers.",
                code="file_too_large",
                param="url",
            )
        with self._context.database.session(workspace_scope(principal.workspace_id)) as session:
            files.check_room(
                session,
                workspace_id=principal.workspace_id,
                num_bytes=num_bytes,
                max_stored_bytes=settings.max_workspace_bytes,
            )
        self._incoming = IncomingFile(
            filename=imports.name_of(self._source, url, answer.headers.get("content-disposition")),
            purpose=self._source.purpose,
            directory=settings.uploads_dir,
            max_bytes=settings.max_upload_in_parts_bytes,
        )
        return num_bytes

    def close(self) -> None:
        if self._incoming is not None:
            self._incoming.close()


def _check_status(host: str, status: int) -> None:
    if status == 200:  # noqa: PLR2004 - the one that has the whole file
        return
    if status >= _BROKEN_SERVER or status == _TOO_MANY_REQUESTS:
        raise Unreachable(f"{host} answered with the status {status}. Try again later.")
    why = {
        401: "it asks for a sign-in, which nobody can do for it here",
        403: "it may not be read with this address or these keys, or the link is too old",
        404: "there is nothing at this address",
    }.get(status, "that is no file")
    raise Invalid(
        f"{host} answered with the status {status}: {why}. Open the address in a private window of a browser: it must "
        "begin a download there.",
        code="import_refused",
        param="url",
        details={"status": status},
    )


def _end(context: WorkContext, lease: Lease, error: AppError) -> None:
    if isinstance(error, InsufficientStorage):
        _give_back(context, lease, "disk_full")
    elif isinstance(error, Unavailable) and error.error_code in FAILURES:
        _give_back(context, lease, error.error_code)
    else:
        _fail(
            context,
            lease,
            JobError(code=error.error_code, message=error.message, param=error.param, details=error.details),
        )


def _give_back(context: WorkContext, lease: Lease, code: str) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        state = give_back_or_fail(session, lease, FAILURES[code], bus=context.backends.events)
        if state in TERMINAL:
            imports.settle(session, jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id))


def _fail(context: WorkContext, lease: Lease, error: JobError) -> None:
    """It is as its owner gave it, or as the other side wants it: to try again by itself would not help."""
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        bus = context.backends.events
        if jobs.finish(session, lease, JobState.FAILED, error=error, blame=Blame.USER_ERROR, bus=bus):
            imports.settle(session, jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id))
