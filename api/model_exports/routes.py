"""Tuned models as files to take away, and the key that says where such files are from."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from api.dependencies import BackendsDep, DatabaseDep, SessionDep, SettingsDep, require
from api.files.names import attachment
from api.idempotency import OnceDep
from api.model_exports.schemas import (
    ModelExportBody,
    ModelExportChoiceBody,
    ModelExportChoicesBody,
    NewModelExport,
    SigningKeyBody,
    model_export_body,
    signing_key_body,
)
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.db.session import SYSTEM
from core.exports import service as exports
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["models"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.MODELS_READ))]
ExporterDep = Annotated[Principal, Depends(require(Permission.MODELS_EXPORT))]


@router.post("/v1/model_exports", dependencies=[JOBS_COUNTED])
def create_model_export(
    body: NewModelExport,
    once: OnceDep,
    principal: ExporterDep,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
) -> ModelExportBody:
    """Pack a tuned model with a model card and a signed manifest. It is charged for the time that takes."""

    def create() -> ModelExportBody:
        made = exports.create(
            session,
            principal=principal,
            model_id=body.model,
            export_format=body.format,
            settings=settings,
            queue=backends.queue,
        )
        return model_export_body(made)

    return once.answer(ModelExportBody, create)


@router.get("/v1/model_exports/choices/{model:path}")
def list_model_export_choices(model: str, principal: ReaderDep, session: SessionDep) -> ModelExportChoicesBody:
    """The forms in which a model can be taken away; of the others, why not."""
    found = exports.choices_of(session, workspace_id=principal.workspace_id, model_id=model)
    return ModelExportChoicesBody(data=[ModelExportChoiceBody(format=one.format, reason=one.reason) for one in found])


@router.get("/v1/model_exports")
def list_model_exports(
    principal: ReaderDep,
    session: SessionDep,
    page: PageDep,
    model: Annotated[str | None, Query(max_length=200, description="Only of this model.")] = None,
) -> ListBody[ModelExportBody]:
    """Newest first; those whose files expired are told too."""
    found = exports.list_exports(session, workspace_id=principal.workspace_id, page=page, model_id=model)
    return list_body(found, model_export_body)


@router.get("/v1/model_exports/{export_id}")
def get_model_export(export_id: str, principal: ReaderDep, session: SessionDep) -> ModelExportBody:
    """How far it is, what is in it, and until when it can be fetched."""
    return model_export_body(exports.get(session, workspace_id=principal.workspace_id, export_id=export_id))


@router.post("/v1/model_exports/{export_id}/cancel")
def cancel_model_export(
    export_id: str, principal: ExporterDep, session: SessionDep, backends: BackendsDep
) -> ModelExportBody:
    """Give it up; it costs nothing."""
    found = exports.cancel(session, principal=principal, export_id=export_id, bus=backends.events)
    return model_export_body(found)


@router.get("/v1/model_exports/{export_id}/content", response_class=StreamingResponse)
def download_model_export(
    export_id: str,
    principal: ExporterDep,
    session: SessionDep,
    backends: BackendsDep,
    file: Annotated[str | None, Query(max_length=200, description="One file of it, as it is.")] = None,
) -> StreamingResponse:
    """All of it as a zip archive, or one file. That somebody took it is in the audit log."""
    found = exports.download(
        session, principal=principal, export_id=export_id, file_name=file, blobs=backends.blobs
    )  # fmt: skip
    headers = {"content-disposition": attachment(found.name), "content-length": str(found.num_bytes)}
    return StreamingResponse(found.chunks, media_type=found.media_type, headers=headers)


@router.get("/v1/signing_key")
def get_signing_key(settings: SettingsDep, database: DatabaseDep) -> SigningKeyBody:
    """The public key that manifests of this installation are signed with."""
    with database.session(SYSTEM) as session:
        return signing_key_body(exports.public_key(session, settings=settings))
