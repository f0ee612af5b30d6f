"""Models made elsewhere, brought in. Who may train may bring."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import BackendsDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.model_imports.schemas import ModelImportBody, NewModelImport, model_import_body
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.model_imports import service as model_imports
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/model_imports", tags=["models"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.MODELS_READ))]
TrainerDep = Annotated[Principal, Depends(require(Permission.RUNS_WRITE))]


@router.post("", dependencies=[JOBS_COUNTED])
def create_model_import(
    body: NewModelImport,
    once: OnceDep,
    principal: TrainerDep,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
) -> ModelImportBody:
    """Have an adapter that was made elsewhere read, checked tensor by tensor, and proved; it is then a model here.

    Pickles (`.bin`, `.pt`, `.pkl` and the like) are refused by name: opening one runs its maker's program.
    """

    def create() -> ModelImportBody:
        made = model_imports.create(
            session,
            principal=principal,
            file_ids=body.file_ids,
            name=body.name,
            base_model=body.base_model,
            is_base_confirmed=body.confirm_base,
            quantization=body.quantization,
            settings=settings,
            queue=backends.queue,
        )
        return model_import_body(made)

    return once.answer(ModelImportBody, create)


@router.get("")
def list_model_imports(principal: ReaderDep, session: SessionDep, page: PageDep) -> ListBody[ModelImportBody]:
    """Newest first; those that failed are told too."""
    found = model_imports.list_imports(session, workspace_id=principal.workspace_id, page=page)
    return list_body(found, model_import_body)


@router.get("/{model_import_id}")
def get_model_import(model_import_id: str, principal: ReaderDep, session: SessionDep) -> ModelImportBody:
    """How far it is; of one that failed, why, and what to do."""
    found = model_imports.get(session, workspace_id=principal.workspace_id, import_id=model_import_id)
    return model_import_body(found)


@router.post("/{model_import_id}/cancel")
def cancel_model_import(
    model_import_id: str, principal: TrainerDep, session: SessionDep, backends: BackendsDep
) -> ModelImportBody:
    """Give it up."""
    found = model_imports.cancel(
        session, principal=principal, import_id=model_import_id, bus=backends.events
    )  # fmt: skip
    return model_import_body(found)
