from typing import Literal

from pydantic import Field

from api.schemas import RequestBody, ResponseBody
from core.datasets.models import File
from core.datasets.types import Inspection
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
