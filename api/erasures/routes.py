"""Forgetting a person: search, look, confirm, receipt."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import BackendsDep, SessionDep, SettingsDep, require
from api.erasures.schemas import DeletedErasureBody, ErasureBody, NewErasure, erasure_body
from api.pagination import ListBody, PageDep, list_body
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.erasures import service as erasures
from core.erasures import telling
from core.kit.pagination import Page
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["erasures"], route_class=RetriedRoute)

EraserDep = Annotated[Principal, Depends(require(Permission.DATASETS_ERASE))]


@router.post("/v1/erasures")
def search_for_person(
    body: NewErasure, principal: EraserDep, session: SessionDep, settings: SettingsDep
) -> ErasureBody:
    """Look for a person in everything that the workspace keeps of people's words. Nothing is removed yet."""
    details = erasures.search(session, principal=principal, terms=body.terms, sealer=settings.sealer())
    return erasure_body(telling.told(session, details, with_examples=True))


@router.get("/v1/erasures")
def list_erasures(principal: EraserDep, session: SessionDep, page: PageDep) -> ListBody[ErasureBody]:
    """Searches and receipts, newest first, without examples."""
    found = erasures.list_erasures(session, workspace_id=principal.workspace_id, page=page)
    bodies = [erasure_body(telling.told(session, one)) for one in found.items]
    return list_body(Page(items=bodies, has_more=found.has_more), lambda body: body)


@router.get("/v1/erasures/{erasure_id}")
def get_erasure(erasure_id: str, principal: EraserDep, session: SessionDep) -> ErasureBody:
    """What was found, how far its removal is, and at last what was removed and which models may still know it."""
    details = erasures.get(session, workspace_id=principal.workspace_id, erasure_id=erasure_id)
    return erasure_body(telling.told(session, details, with_examples=True))


@router.post("/v1/erasures/{erasure_id}/confirm", dependencies=[JOBS_COUNTED])
def confirm_erasure(erasure_id: str, principal: EraserDep, session: SessionDep, backends: BackendsDep) -> ErasureBody:
    """Remove it for good. Twice changes nothing; one that failed goes on where it was."""
    details = erasures.confirm(
        session, principal=principal, erasure_id=erasure_id, queue=backends.queue, bus=backends.events
    )
    return erasure_body(telling.told(session, details))


@router.delete("/v1/erasures/{erasure_id}")
def discard_erasure(erasure_id: str, principal: EraserDep, session: SessionDep) -> DeletedErasureBody:
    """Forget a search that was not confirmed, and what was looked for."""
    erasures.discard(session, principal=principal, erasure_id=erasure_id)
    return DeletedErasureBody(id=erasure_id)
