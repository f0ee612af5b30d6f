"""A workspace's request log: on or off, for how long; and examples made of what is in it.

What it holds is read, labelled and deleted as kept answers are: `GET /v1/chat/completions?origin=logged`.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from api.datasets.schemas import DatasetBody, dataset_body
from api.dependencies import BackendsDep, SessionDep, SettingsDep, require
from api.idempotency import OnceDep
from api.rate_limits import JOBS_COUNTED
from api.retries import RetriedRoute
from api.schemas import RequestBody, ResponseBody
from core.serving.completions import log
from core.serving.completions.types import MAX_LOGGED_DAYS, MIN_LOGGED_DAYS, LogChange, LogRule
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/request_log", tags=["chat"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.CHAT_USE))]
AdminDep = Annotated[Principal, Depends(require(Permission.WORKSPACE_ADMIN))]
# who makes examples of what was said must be let read it, too
EditorDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]


class RequestLogBody(ResponseBody):
    object: Literal["request_log"] = "request_log"
    is_on: bool
    retention_days: int
    is_masked: bool = Field(description="Personal data is taken out before anything is written.")


class RequestLogChange(RequestBody):
    """What is left out stays as it is."""

    is_on: bool | None = None
    retention_days: int | None = Field(None, ge=MIN_LOGGED_DAYS, le=MAX_LOGGED_DAYS)
    is_masked: bool | None = None


class PickedRequests(RequestBody):
    completion_ids: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, max_length=log.MAX_PICKED)
    name: str | None = Field(None, max_length=200, description="Else by the day.")


@router.get("")
def get_request_log(principal: ReaderDep, session: SessionDep) -> RequestLogBody:
    """Whether every chat completion of the workspace is kept, for how long, and whether masked."""
    return _body(log.rule(session, workspace_id=principal.workspace_id))


@router.patch("")
def update_request_log(body: RequestLogChange, principal: AdminDep, session: SessionDep) -> RequestLogBody:
    """Turn it on or off. Off, what was logged stays until its days are over, or somebody deletes it."""
    wanted = LogChange(is_on=body.is_on, retention_days=body.retention_days, is_masked=body.is_masked)
    return _body(log.change(session, principal=principal, wanted=wanted))


@router.post("/dataset", dependencies=[JOBS_COUNTED])
def make_request_dataset(
    body: PickedRequests,
    once: OnceDep,
    principal: EditorDep,
    _also: ReaderDep,
    session: SessionDep,
    settings: SettingsDep,
    backends: BackendsDep,
) -> DatasetBody:
    """Make examples to learn from of picked answers: what was asked, with the answer to it."""

    def create() -> DatasetBody:
        made = log.make_dataset(
            session,
            principal=principal,
            completion_ids=body.completion_ids,
            name=body.name,
            settings=settings,
            blobs=backends.blobs,
            queue=backends.queue,
        )
        return dataset_body(made)

    return once.answer(DatasetBody, create)


def _body(rule: LogRule) -> RequestLogBody:
    return RequestLogBody(is_on=rule.is_on, retention_days=rule.retention_days, is_masked=rule.is_masked)
