"""Votes on answers to one question, what they come to, and examples made of them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.datasets.schemas import DatasetBody, dataset_body
from api.dependencies import BackendsDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.pagination import ListBody, PageDep, list_body
from api.preferences.schemas import (
    DeletedPreferenceBody,
    DuelListBody,
    NewPreferenceBody,
    PreferenceBody,
    PreferenceDatasetBody,
    duel_body,
    preference_body,
)
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from core.serving.preferences import service as preferences
from core.serving.preferences.types import PreferenceFilter, VoteVerdict
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/preferences", tags=["preferences"], route_class=RetriedRoute)

# who may talk to models judges them, and reads what was said as with kept answers
JudgeDep = Annotated[Principal, Depends(require(Permission.CHAT_USE))]
# who makes examples of what was said must be let read it, too
EditorDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]


@router.post("")
def create_preference(
    body: NewPreferenceBody, once: OnceDep, principal: JudgeDep, session: SessionDep
) -> PreferenceBody:
    """Keep a vote: which of two to four answers to one question is best, or that all are equal, or all bad."""
    new = body.to_preference()

    def create() -> PreferenceBody:
        made = preferences.record(session, principal=principal, new=new)
        return preference_body(made, preferences.names_of(session, workspace_id=principal.workspace_id, of=[made]))

    return once.answer(PreferenceBody, create)


@router.get("")
def list_preferences(
    principal: JudgeDep,
    session: SessionDep,
    page: PageDep,
    verdict: Annotated[VoteVerdict | None, Query(description="Only votes with this verdict.")] = None,
) -> ListBody[PreferenceBody]:
    """Votes, the newest first."""
    workspace_id = principal.workspace_id
    found = preferences.list_preferences(
        session, workspace_id=workspace_id, page=page, wanted=PreferenceFilter(verdict=verdict)
    )
    names = preferences.names_of(session, workspace_id=workspace_id, of=found.items)
    return list_body(found, lambda preference: preference_body(preference, names))


@router.get("/wins")
def list_preference_wins(principal: JudgeDep, session: SessionDep) -> DuelListBody:
    """Of every two that blind votes compared: how often each won, with a 95 % interval."""
    found = preferences.wins(session, workspace_id=principal.workspace_id)
    return DuelListBody(data=[duel_body(duel) for duel in found])


@router.post("/dataset", dependencies=[JOBS_COUNTED])
def make_preference_dataset(
    body: PreferenceDatasetBody,
    once: OnceDep,
    principal: EditorDep,
    _also: JudgeDep,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
) -> DatasetBody:
    """Make examples to learn from (DPO) of all votes that chose an answer: it, and each that it was preferred to."""

    def create() -> DatasetBody:
        made = preferences.make_dataset(
            session,
            principal=principal,
            name=body.name,
            settings=settings,
            blobs=backends.blobs,
            queue=backends.queue,
        )
        return dataset_body(made)

    return once.answer(DatasetBody, create)


@router.get("/{preference_id}")
def get_preference(preference_id: str, principal: JudgeDep, session: SessionDep) -> PreferenceBody:
    workspace_id = principal.workspace_id
    found = preferences.get(session, workspace_id=workspace_id, preference_id=preference_id)
    return preference_body(found, preferences.names_of(session, workspace_id=workspace_id, of=[found]))


@router.delete("/{preference_id}")
def delete_preference(preference_id: str, principal: EditorDep, session: SessionDep) -> DeletedPreferenceBody:
    """Delete a vote for good. It counts no more; examples that were made of it stay."""
    preferences.delete(session, principal=principal, preference_id=preference_id)
    return DeletedPreferenceBody(id=preference_id)
