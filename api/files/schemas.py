from typing import Literal

from pydantic import Field

from api.schemas import ResponseBody
from core.datasets.models import File
from core.datasets.types import Inspection
from core.kit.clock import unix_s


class FileBody(ResponseBody):
    """OpenAI's File, and what a first look at it found."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None = None
    filename: str
    purpose: str
    # a file that could not be processed was refused, and is not there
    status: Literal["processed"] = "processed"
    status_details: str | None = None
    sha256: str = Field(description="Of its bytes; our extension, as is what follows.")
    inspection: Inspection


class DeletedFileBody(ResponseBody):
    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


def file_body(file: File) -> FileBody:
    return FileBody(
        id=file.id,
        bytes=file.num_bytes,
        created_at=unix_s(file.created_at),
        filename=file.filename,
        purpose=file.purpose,
        sha256=file.sha256,
        inspection=Inspection.model_validate(file.inspection),
    )
