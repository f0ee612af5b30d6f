"""Files that are fetched from an address, or pasted: our extension of OpenAI's files."""

import contextlib
from functools import partial

from fastapi import APIRouter, Request

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep
from api.files.routes import ReaderDep, WriterDep
from api.files.schemas import FileImportBody, ImportFileBody, S3ObjectBody, import_body, pasted_body
from api.idempotency import OnceDep, attempt_of
from api.retries import RetriedRoute
from core.backends.outbound import OutboundClient
from core.backends.s3_links import ForeignObject, sign_get
from core.config import Settings
from core.datasets import imports
from core.datasets.incoming import IncomingFile
from core.datasets.purposes import check_purpose
from core.errors import Invalid

router = APIRouter(tags=["files"], route_class=RetriedRoute)


@router.post("/v1/files/import")
def import_file(
    request: Request,
    body: ImportFileBody,
    principal: WriterDep,
    session: SessionDep,
    settings: SettingsDep,
    database: DatabaseDep,
    backends: BackendsDep,
    once: OnceDep,
) -> FileImportBody:
    """Make a file of what is at an address, in S3, or of pasted text.

    Text is a file at once. All else is fetched by a worker; the import tells how far it is.
    """
    purpose = check_purpose(body.purpose)
    if sum(given is not None for given in (body.url, body.s3, body.text)) != 1:
        raise Invalid("Give one of url, s3 and text, and no more than one.", code="invalid_import", param="url")
    if body.text is not None:
        incoming = IncomingFile(
            filename=body.filename or "pasted.csv",
            purpose=purpose,
            directory=settings.uploads_dir,
            max_bytes=settings.max_upload_bytes,
        )
        with contextlib.closing(incoming):
            incoming.feed(body.text.encode())
            file = incoming.finish(
                principal=principal,
                database=database,
                blobs=backends.blobs,
                purpose=purpose,
                max_stored_bytes=settings.max_workspace_bytes,
                attempt_of=partial(attempt_of, request, principal, settings),
            )
        return pasted_body(file)
    url, shown_as = _address(body, backends.outbound, settings)
    return once.answer(
        FileImportBody,
        lambda: import_body(
            imports.submit(
                session,
                principal=principal,
                settings=settings,
                url=url,
                shown_as=shown_as,
                filename=body.filename,
                purpose=body.purpose,
                queue=backends.queue,
            )
        ),
    )


@router.get("/v1/files/imports/{import_id}")
def get_import(import_id: str, principal: ReaderDep, session: SessionDep) -> FileImportBody:
    """How far an import is; the file once it is there, or why it is not."""
    return import_body(imports.get(session, workspace_id=principal.workspace_id, import_id=import_id))


@router.post("/v1/files/imports/{import_id}/cancel")
def cancel_import(import_id: str, principal: WriterDep, session: SessionDep, backends: BackendsDep) -> FileImportBody:
    """Give an import up; nothing of it is kept."""
    return import_body(imports.cancel(session, principal=principal, import_id=import_id, bus=backends.events))


def _address(body: ImportFileBody, outbound: OutboundClient, settings: Settings) -> tuple[str, str]:
    """What is to be fetched, and what may be said of it. Raises `Invalid` for where no call is made to."""
    if body.s3 is None:
        url = body.url or ""
        outbound.check(url)
        return url, imports.shown_as(url)
    url = sign_get(_wanted(body.s3), expires_s=settings.import_link_expires_s)
    outbound.check(url, param="s3.endpoint_url")
    return url, f"s3://{body.s3.bucket}/{body.s3.key}"[:500]


def _wanted(given: S3ObjectBody) -> ForeignObject:
    return ForeignObject(
        bucket=given.bucket,
        key=given.key,
        access_key_id=given.access_key_id,
        secret_access_key=given.secret_access_key.get_secret_value(),
        endpoint_url=given.endpoint_url,
        region=given.region,
    )
