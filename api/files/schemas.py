from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field, SecretStr

from api.schemas import RequestBody, ResponseBody
from core.datasets.imports import ImportDetails
from core.datasets.models import File
from core.datasets.types import Inspection
from core.jobs.states import JobState
from core.kit.clock import unix_s


class FileBody(ResponseBody):
    """OpenAI's File, and what a first look at it found."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    # a file that could not be processed was refused, and is not there
    status: Literal["processed"] = "processed"
    status_details: str | None = None
    sha256: str = Field(description="Of its bytes; our extension, as is what follows.")
    inspection: Inspection | None = Field(description="Null in lists, and for a file that is not to be learned from.")


class ExpiresAfter(RequestBody):
    anchor: Literal["created_at"]
    seconds: int = Field(description="3600 (an hour) to 2592000 (30 days).")


class DeletedFileBody(ResponseBody):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def file_body(file: File) -> FileBody:
    inspection = None if file.inspection is None else Inspection.model_validate(file.inspection)
    return _body(file, inspection)


def listed_file_body(file: File) -> FileBody:
    """Without what was found in it, which may be larger than all the rest."""
    return _body(file, None)


def _body(file: File, inspection: Inspection | None) -> FileBody:
    return FileBody(
        id=file.id,
        bytes=file.num_bytes,
        created_at=unix_s(file.created_at),
        expires_at=unix_s(file.expires_at) if file.expires_at else None,
        filename=file.filename,
        purpose=file.purpose,
        sha256=file.sha256,
        inspection=inspection,
    )


class S3ObjectBody(RequestBody):
    bucket: str = Field(min_length=3, max_length=63)
    key: str = Field(min_length=1, max_length=1024)
    access_key_id: str = Field(min_length=1, max_length=256)
    secret_access_key: SecretStr = Field(
        min_length=1, max_length=256, description="Makes one link to this one object, and is neither kept nor logged."
    )
    endpoint_url: str | None = Field(None, description="Of a store that is not Amazon's.")
    region: str | None = Field(None, max_length=64)


class ImportFileBody(RequestBody):
    """One of `url`, `s3` and `text`."""

    url: str | None = Field(None, description="http or https; redirects are followed.")
    s3: S3ObjectBody | None = None
    text: str | None = Field(None, description="The contents themselves, to 2 MB with all of the request.")
    filename: str | None = Field(None, description="Its ending says how it is read. Left out, the name it has there.")
    purpose: str = Field("fine-tune", description="As of an upload.")


class ImportErrorBody(ResponseBody):
    code: str
    message: str
    param: str | None
    details: dict[str, Any] = Field(description="Of a file that was refused: row, column, cause, fix.")


class FileImportBody(ResponseBody):
    """A file on its way from elsewhere."""

    id: str | None = Field(description="Null for pasted text, which is a file at once.")
    object: Literal["file.import"] = "file.import"
    created_at: int
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    source: str = Field(description="The host, or the object in S3.")
    received_bytes: int
    total_bytes: int | None = Field(description="Null while unknown.")
    error: ImportErrorBody | None
    file: FileBody | None


_IMPORT_STATUS: Final[Mapping[JobState, Any]] = {
    JobState.VALIDATING: "queued",
    JobState.PAUSED: "queued",
}


def import_body(details: ImportDetails) -> FileImportBody:
    job = details.job
    return FileImportBody(
        id=job.id,
        created_at=unix_s(job.created_at),
        status=_IMPORT_STATUS.get(job.state, job.state.value),
        source=str(job.payload["from"]),
        received_bytes=job.progress_step or 0,
        total_bytes=job.progress_total_steps or None,
        error=None if job.error is None else _import_error(job.error),
        file=None if details.file is None else file_body(details.file),
    )


def pasted_body(file: File) -> FileImportBody:
    return FileImportBody(
        id=None,
        created_at=unix_s(file.created_at),
        status="succeeded",
        source="pasted",
        received_bytes=file.num_bytes,
        total_bytes=file.num_bytes,
        error=None,
        file=file_body(file),
    )


def _import_error(error: Mapping[str, Any]) -> ImportErrorBody:
    return ImportErrorBody(
        code=str(error["code"]),
        message=str(error["message"]),
        param=error.get("param"),
        details=error.get("details") or {},
    )
