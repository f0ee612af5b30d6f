"""Files in parts: for what is too large for one request, or for a connection that breaks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.files.multipart import FileForm
from api.idempotency import OnceDep
from api.retries import RetriedRoute
from api.uploads.schemas import CompleteUploadBody, CreateUploadBody, UploadBody, UploadPartBody, part_body, upload_body
from core.datasets import files
from core.datasets.uploads import assembly, service
from core.datasets.uploads.service import IncomingPart
from core.db.session import workspace_scope
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.DATASETS_READ))]
WriterDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {
                        "data": {"type": "string", "format": "binary", "description": "At most 64 MiB of the file."}
                    },
                }
            }
        },
    }
}


@router.post("")
def create_upload(
    body: CreateUploadBody, principal: WriterDep, session: SessionDep, settings: SettingsDep, once: OnceDep
) -> UploadBody:
    """Begin a file that arrives in parts. It stays open for an hour, and for another with each part."""
    expires_after = body.expires_after
    expires_after_s = files.check_expires_after(expires_after.anchor, expires_after.seconds) if expires_after else None
    return once.answer(
        UploadBody,
        lambda: upload_body(
            service.create(
                session,
                principal=principal,
                settings=settings,
                filename=body.filename,
                mime_type=body.mime_type,
                purpose=body.purpose,
                num_bytes=body.bytes,
                expires_after_s=expires_after_s,
            )
        ),
    )


@router.get("/{upload_id}")
def retrieve_upload(upload_id: str, principal: ReaderDep, session: SessionDep) -> UploadBody:
    """How far an upload is and which parts have arrived: our extension, to go on after a broken connection."""
    return upload_body(service.get(session, workspace_id=principal.workspace_id, upload_id=upload_id))


@router.post("/{upload_id}/parts", openapi_extra=_FORM)
async def add_upload_part(
    upload_id: str,
    request: Request,
    principal: WriterDep,
    settings: SettingsDep,
    database: DatabaseDep,
    backends: BackendsDep,
) -> UploadPartBody:
    """Send a part. They may come in any order, also several at once; a lost one is simply sent again."""

    def check_open() -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            service.lock_open(session, workspace_id=principal.workspace_id, upload_id=upload_id)

    # better before 64 MiB have come than after
    await run_in_threadpool(check_open)
    form = FileForm(
        request.headers.get("content-type", ""),
        lambda _: IncomingPart(directory=settings.uploads_dir),
        part="data",
        needs_filename=False,
    )
    try:
        incoming = await form.read(request.stream())
        part = await run_in_threadpool(
            incoming.finish,
            principal=principal,
            upload_id=upload_id,
            database=database,
            blobs=backends.blobs,
            expires_after_s=settings.upload_expires_s,
        )
    finally:
        form.close()
    return part_body(part)


@router.post("/{upload_id}/complete")
def complete_upload(
    upload_id: str,
    body: CompleteUploadBody,
    principal: WriterDep,
    settings: SettingsDep,
    database: DatabaseDep,
    backends: BackendsDep,
) -> UploadBody:
    """Make the file of the parts named. Asking again with the same parts gives the same file.

    Examples that cannot be used are refused as in an upload of one piece; the upload stays open for better parts.
    """
    details = assembly.complete(
        principal=principal,
        upload_id=upload_id,
        part_ids=body.part_ids,
        md5=body.md5,
        database=database,
        blobs=backends.blobs,
        max_stored_bytes=settings.max_workspace_bytes,
    )
    return upload_body(details)


@router.post("/{upload_id}/cancel")
def cancel_upload(upload_id: str, principal: WriterDep, session: SessionDep, backends: BackendsDep) -> UploadBody:
    """Give an upload up. Its parts are removed."""
    return upload_body(service.cancel(session, principal=principal, upload_id=upload_id, blobs=backends.blobs))
