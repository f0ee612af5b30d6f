from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.files.base64_stream import encoded_length, in_base64
from api.files.multipart import FileForm
from api.files.names import attachment
from api.files.preview_schemas import FilePreviewBody, NewPreview, preview_body
from api.files.schemas import (
    DeletedFileBody,
    FileBody,
    file_body,
    listed_file_body,
)
from api.idempotency import attempt_of
from api.middleware import MULTIPART_SLACK_BYTES
from api.pagination import ListBody, list_body
from api.retries import RetriedRoute
from core.datasets import files, preview
from core.datasets.files import MAX_EXPIRES_AFTER_S, MIN_EXPIRES_AFTER_S
from core.datasets.incoming import IncomingFile
from core.datasets.purposes import UPLOADED, Purpose, check_purpose
from core.db.session import workspace_scope
from core.errors import Invalid
from core.kit.pagination import PageRequest
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["files"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.DATASETS_READ))]
WriterDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]

# the wire's own: a list of files is not asked for in pages by default
_MAX_LIMIT = 10_000
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"
_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "Examples as .jsonl, .csv, .xlsx or the like; any kind for other purposes.",
                        },
                        "purpose": {"type": "string", "enum": list(UPLOADED), "default": Purpose.FINE_TUNE},
                        _ANCHOR: {"type": "string", "enum": ["created_at"]},
                        _SECONDS: {"type": "integer", "minimum": MIN_EXPIRES_AFTER_S, "maximum": MAX_EXPIRES_AFTER_S},
                    },
                }
            }
        },
    }
}


@router.post("/v1/files", openapi_extra=_FORM)
async def upload_file(
    request: Request, principal: WriterDep, settings: SettingsDep, database: DatabaseDep, backends: BackendsDep
) -> FileBody:
    """Upload a file. Examples that cannot be used are refused with the row, the cause and the fix, and are not kept.

    `async` because the body is read as it arrives; all that blocks runs in threads, and no database session is open
    until the file has passed.
    """

    def receive(filename: str) -> IncomingFile:
        # told before the file, it decides early whether the rest of the file is worth reading
        told = form.fields.get("purpose")
        return IncomingFile(
            filename=filename,
            purpose=None if told is None else check_purpose(told),
            directory=settings.uploads_dir,
            max_bytes=settings.max_upload_bytes,
        )

    room = settings.max_workspace_bytes

    def look_for_room() -> None:
        """Before the bytes are sent for nothing; what they are in the end is looked at again."""
        announced = int(request.headers.get("content-length", "0")) - MULTIPART_SLACK_BYTES
        with database.session(workspace_scope(principal.workspace_id)) as session:
            files.check_room(
                session, workspace_id=principal.workspace_id, num_bytes=max(0, announced), max_stored_bytes=room
            )

    await run_in_threadpool(look_for_room)
    form = FileForm(request.headers.get("content-type", ""), receive)
    try:
        incoming = await form.read(request.stream())
        file = await run_in_threadpool(
            incoming.finish,
            principal=principal,
            database=database,
            blobs=backends.blobs,
            purpose=check_purpose(form.fields.get("purpose", Purpose.FINE_TUNE)),
            expires_after_s=_expires_after_s(form.fields),
            max_stored_bytes=room,
            attempt_of=partial(attempt_of, request, principal, settings),
        )
    finally:
        form.close()
    return file_body(file)


@router.get("/v1/files")
def list_files(
    principal: ReaderDep,
    session: SessionDep,
    after: Annotated[str | None, Query(description="Id of the last item of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT)] = _MAX_LIMIT,
    purpose: str | None = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By time of upload.")] = "desc",
) -> ListBody[FileBody]:
    """The workspace's files, newest first unless asked otherwise."""
    wanted = PageRequest(after=after, limit=limit, ascending=order == "asc")
    found = files.list_files(session, workspace_id=principal.workspace_id, page=wanted, purpose=purpose)
    return list_body(found, listed_file_body)


@router.get("/v1/files/{file_id}")
def get_file(file_id: str, principal: ReaderDep, session: SessionDep) -> FileBody:
    return file_body(files.get(session, workspace_id=principal.workspace_id, file_id=file_id))


@router.delete("/v1/files/{file_id}")
def delete_file(file_id: str, principal: WriterDep, session: SessionDep, backends: BackendsDep) -> DeletedFileBody:
    """Delete a file. Datasets made of it stay."""
    files.delete(session, principal=principal, file_id=file_id, blobs=backends.blobs)
    return DeletedFileBody(id=file_id)


@router.post("/v1/files/{file_id}/preview")
def preview_file(
    file_id: str,
    body: NewPreview,
    principal: WriterDep,
    database: DatabaseDep,
    backends: BackendsDep,
    settings: SettingsDep,
) -> FilePreviewBody:
    """The first rows as examples, and what is wrong with them, under a mapping that is being chosen. Keeps nothing."""
    found = preview.preview(
        database,
        backends.blobs,
        workspace_id=principal.workspace_id,
        file_id=file_id,
        mapping=body.mapping,
        directory=settings.uploads_dir,
    )
    return preview_body(found)


@router.get(
    "/v1/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file's bytes."}},
)
def get_file_content(
    file_id: str,
    principal: ReaderDep,
    session: SessionDep,
    backends: BackendsDep,
    settings: SettingsDep,
    encoding: Annotated[
        Literal["plain", "base64"] | None,
        Query(
            description="Our extension. Result files are in base64 if the installation is set so, all else is plain."
        ),
    ] = None,
) -> StreamingResponse:
    """The file as it was uploaded."""
    file = files.get(session, workspace_id=principal.workspace_id, file_id=file_id)
    by_default = "base64" if settings.base64_result_files and file.purpose == Purpose.FINE_TUNE_RESULTS else "plain"
    chunks: Iterator[bytes] = files.content(file, blobs=backends.blobs)
    num_bytes = file.num_bytes
    if (encoding or by_default) == "base64":
        chunks, num_bytes = in_base64(chunks), encoded_length(num_bytes)
    headers = {"content-length": str(num_bytes), "content-disposition": attachment(file.filename)}
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


def _expires_after_s(fields: dict[str, str]) -> int | None:
    anchor, seconds = fields.get(_ANCHOR), fields.get(_SECONDS)
    if seconds is not None and not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= len(str(2**63))):
        raise Invalid("expires_after.seconds must be a number.", code="invalid_value", param="expires_after.seconds")
    return files.check_expires_after(anchor, None if seconds is None else int(seconds))
