from typing import Literal

from pydantic import Field

from api.files.schemas import ExpiresAfter, FileBody, file_body
from api.schemas import RequestBody, ResponseBody
from core.datasets.models import UploadPart
from core.datasets.uploads.service import UploadDetails
from core.kit.clock import unix_s


class CreateUploadBody(RequestBody):
    bytes: int = Field(description="Of the whole file; the parts must have exactly so many together.")
    filename: str
    mime_type: str
    purpose: str
    expires_after: ExpiresAfter | None = Field(None, description="When the file goes, once there is one.")


class CompleteUploadBody(RequestBody):
    part_ids: list[str] = Field(min_length=1, description="The parts that make the file, in their order.")
    md5: str | None = Field(None, description="Of the whole file, in hexadecimal; compared if it is sent.")


class UploadPartBody(ResponseBody):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str

    bytes: int = Field(description="Our extension, as is the next.")
    sha256: str


class UploadBody(ResponseBody):
    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileBody | None

    mime_type: str = Field(description="Our extension, as is the next.")
    parts: list[UploadPartBody] = Field(description="What has arrived, in the order of its arrival.")


def upload_body(details: UploadDetails) -> UploadBody:
    upload = details.upload
    return UploadBody(
        id=upload.id,
        bytes=upload.num_bytes,
        created_at=unix_s(upload.created_at),
        expires_at=unix_s(upload.expires_at),
        filename=upload.filename,
        purpose=upload.purpose,
        status=upload.status.value,
        file=None if details.file is None else file_body(details.file),
        mime_type=upload.mime_type,
        parts=[part_body(part) for part in details.parts],
    )


def part_body(part: UploadPart) -> UploadPartBody:
    return UploadPartBody(
        id=part.id,
        created_at=unix_s(part.created_at),
        upload_id=part.upload_id,
        bytes=part.num_bytes,
        sha256=part.sha256,
    )
