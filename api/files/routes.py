from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.files.multipart import FileForm
from api.files.schemas import DeletedFileBody, FileBody, file_body
from api.middleware import MULTIPART_SLACK_BYTES
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from core.datasets import files
from core.datasets.uploads import Upload
from core.db.session import workspace_scope
from core.kit.pagination import PageRequest
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["files"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.DATASETS_READ))]
WriterDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "A .csv or .jsonl file."},
                        "purpose": {"type": "string", "enum": [files.PURPOSE], "default": files.PURPOSE},
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
    """Upload examples. A file that cannot be used is refused with the row, the cause and the fix, and is not kept.

    `async` because the body is read as it arrives; all that blocks runs in threads, and no database session is open
    until the file has passed.
    """

    def open_upload(filename: str) -> Upload:
        return Upload(filename=filename, directory=settings.uploads_dir, max_bytes=settings.max_upload_bytes)

    room = settings.max_workspace_bytes

    def look_for_room() -> None:
        """Before the bytes are sent for nothing; what they are in the end is looked at again."""
        announced = int(request.headers.get("content-length", "0")) - MULTIPART_SLACK_BYTES
        with database.session(workspace_scope(principal.workspace_id)) as session:
            files.check_room(
                session, workspace_id=principal.workspace_id, num_bytes=max(0, announced), max_stored_bytes=room
            )

    await run_in_threadpool(look_for_room)
    form = FileForm(request.headers.get("content-type", ""), open_upload)
    try:
        upload = await form.read(request.stream())
        files.check_purpose(form.fields.get("purpose", files.PURPOSE))
        file = await run_in_threadpool(
            upload.finish, principal=principal, database=database, blobs=backends.blobs, max_stored_bytes=room
        )
    finally:
        form.close()
    return file_body(file)


@router.get("/v1/files")
def list_files(
    principal: ReaderDep,
    session: SessionDep,
    page: PageDep,
    purpose: str | None = None,
    order: Annotated[Literal["asc", "desc"], Query(description="By time of upload.")] = "desc",
) -> ListBody[FileBody]:
    """The workspace's files, newest first unless asked otherwise."""
    wanted = PageRequest(after=page.after, limit=page.limit, ascending=order == "asc")
    found = files.list_files(session, workspace_id=principal.workspace_id, page=wanted, purpose=purpose)
    return list_body(found, file_body)


@router.get("/v1/files/{file_id}")
def get_file(file_id: str, principal: ReaderDep, session: SessionDep) -> FileBody:
    return file_body(files.get(session, workspace_id=principal.workspace_id, file_id=file_id))


@router.delete("/v1/files/{file_id}")
def delete_file(file_id: str, principal: WriterDep, session: SessionDep, backends: BackendsDep) -> DeletedFileBody:
    """Delete a file. Datasets made of it stay."""
    files.delete(session, principal=principal, file_id=file_id, blobs=backends.blobs)
    return DeletedFileBody(id=file_id)


@router.get(
    "/v1/files/{file_id}/content",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "The file's bytes."}},
)
def get_file_content(
    file_id: str, principal: ReaderDep, session: SessionDep, backends: BackendsDep
) -> StreamingResponse:
    """The file as it was uploaded."""
    file = files.get(session, workspace_id=principal.workspace_id, file_id=file_id)
    headers = {"content-length": str(file.num_bytes), "content-disposition": "attachment"}
    return StreamingResponse(
        files.content(file, blobs=backends.blobs), media_type="application/octet-stream", headers=headers
    )
