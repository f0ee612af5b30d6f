"""Answers that were kept (`store: true`), as the OpenAI clients list, read, label and delete them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from api.chat.requests import Metadata
from api.chat.routes import KeeperDep, completion_keeper
from api.chat.schemas import DeletedCompletion, KeptCompletion, KeptMessage
from api.dependencies import SessionDep, SettingsDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.schemas import RequestBody
from core.config import Settings
from core.errors import Unavailable
from core.kit.clock import unix_s
from core.kit.pagination import Page, PageRequest
from core.serving.completions import log as request_log
from core.serving.completions import service as completions
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.models import Completion
from core.serving.completions.types import CompletionFilter, LogRule, Origin, Outcome
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/chat/completions", tags=["chat"], route_class=RetriedRoute)

# an answer is stored a moment after it was given; whoever asks for it at once waits for that
_STORED_WITHIN_S = 2.0
_QUESTION_CHARS = 200
_DAY_S = 24 * 3600
_LAST_S = 2**35

ReaderDep = Annotated[Principal, Depends(require(Permission.CHAT_USE))]
EditorDep = Annotated[Principal, Depends(require(Permission.DATASETS_WRITE))]
Order = Annotated[Literal["asc", "desc"], Query(description="By time: the oldest first, or the newest.")]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Ours, for whoever searches the request log."""

    q: Annotated[str | None, Query(max_length=200, description="Words that were said, in any case.")] = None
    origin: Annotated[Origin | None, Query(description="`logged` for the request log alone.")] = None
    outcome: Annotated[
        Literal["succeeded", "failed", "cancelled", "any"], Query(description="Only answers by default.")
    ] = "succeeded"
    created_after: Annotated[int | None, Query(ge=0, le=_LAST_S, description="Unix seconds.")] = None
    created_before: Annotated[int | None, Query(ge=0, le=_LAST_S, description="Unix seconds.")] = None

    def to_filter(self, *, model: str | None, metadata: dict[str, str]) -> CompletionFilter:
        return CompletionFilter(
            model=model,
            metadata=metadata,
            query=self.q,
            origin=self.origin,
            outcome=None if self.outcome == "any" else Outcome(self.outcome),
            after=_moment(self.created_after),
            before=_moment(self.created_before),
        )


def _moment(unix: int | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


class LabelsBody(RequestBody):
    metadata: Metadata | None


def _stored(completion_id: str, keeper: Annotated[CompletionKeeper, Depends(completion_keeper)]) -> str:
    """Its id, once it is not on its way to the database any more: what is deleted must not come after that."""
    if not keeper.wait_for(completion_id, timeout_s=_STORED_WITHIN_S):
        raise Unavailable(
            "This answer is still on its way to the database, which does not answer. Try again in a moment.",
            code="database_unavailable",
        )
    return completion_id


IdDep = Annotated[str, Depends(_stored)]


@router.get("")
def list_chat_completions(
    request: Request,
    principal: ReaderDep,
    keeper: KeeperDep,
    session: SessionDep,
    settings: SettingsDep,
    page: PageDep,
    also: Annotated[LogFilter, Depends()],
    model: Annotated[str | None, Query(description="Only answers of this model, or to this name.")] = None,
    order: Order = "asc",
) -> ListBody[KeptCompletion]:
    """Kept answers, filtered by `metadata[key]=value` too."""
    keeper.flush(timeout_s=_STORED_WITHIN_S, workspace_id=principal.workspace_id)
    pairs = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in request.query_params.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    found = completions.list_completions(
        session,
        workspace_id=principal.workspace_id,
        page=PageRequest(after=page.after, limit=page.limit, ascending=order == "asc"),
        wanted=also.to_filter(model=model, metadata=pairs),
    )
    log = request_log.rule(session, workspace_id=principal.workspace_id)
    return list_body(found, lambda completion: _body(completion, settings, log))


@router.get("/{completion_id}")
def get_chat_completion(
    completion_id: IdDep, principal: ReaderDep, session: SessionDep, settings: SettingsDep
) -> KeptCompletion:
    """A kept answer."""
    found = completions.get(session, workspace_id=principal.workspace_id, completion_id=completion_id)
    return _body(found, settings, request_log.rule(session, workspace_id=principal.workspace_id))


@router.post("/{completion_id}")
def update_chat_completion(
    completion_id: IdDep, body: LabelsBody, principal: EditorDep, session: SessionDep, settings: SettingsDep
) -> KeptCompletion:
    """Put other metadata in the place of what it has."""
    found = completions.label(session, principal=principal, completion_id=completion_id, metadata=body.metadata or {})
    return _body(found, settings, request_log.rule(session, workspace_id=principal.workspace_id))


@router.delete("/{completion_id}")
def delete_chat_completion(completion_id: IdDep, principal: EditorDep, session: SessionDep) -> DeletedCompletion:
    """Delete a kept answer, and what was asked, for good."""
    completions.delete(session, principal=principal, completion_id=completion_id)
    return DeletedCompletion(id=completion_id)


@router.get("/{completion_id}/messages")
def list_chat_completion_messages(
    completion_id: IdDep, principal: ReaderDep, session: SessionDep, page: PageDep, order: Order = "asc"
) -> ListBody[KeptMessage]:
    """What was asked, message by message."""
    found = completions.get(session, workspace_id=principal.workspace_id, completion_id=completion_id)
    messages = [_message(f"{found.id}-{index}", message) for index, message in enumerate(found.messages)]
    if order == "desc":
        messages.reverse()
    begin = next((at + 1 for at, message in enumerate(messages) if message.id == page.after), 0)
    return list_body(Page.cut(messages[begin : begin + page.limit + 1], page.limit), lambda message: message)


def _body(completion: Completion, settings: Settings, log: LogRule) -> KeptCompletion:
    asked = completion.parameters
    days = log.retention_days if completion.origin is Origin.LOGGED else settings.stored_completions_days
    return KeptCompletion(
        id=completion.id,
        model=completion.model,
        metadata=completion.user_metadata,
        temperature=asked.get("temperature", 1.0),
        top_p=asked.get("top_p", 1.0),
        presence_penalty=asked.get("presence_penalty", 0.0),
        frequency_penalty=asked.get("frequency_penalty", 0.0),
        seed=asked.get("seed"),
        tools=asked.get("tools"),
        tool_choice=asked.get("tool_choice"),
        response_format=asked.get("response_format"),
        origin=completion.origin,
        outcome=completion.outcome,
        error_code=completion.error_code,
        served_model=completion.served_model,
        release=completion.release,
        api_key_id=completion.api_key_id,
        latency_ms=completion.latency_ms,
        is_masked=completion.is_masked,
        question=_question(completion.messages),
        expires_at=unix_s(completion.created_at) + days * _DAY_S if days else None,
        **completion.answer,
    )


def _question(messages: list[dict[str, Any]]) -> str:
    said = [_text(message) for message in messages if message["role"] == "user"]
    return said[-1][:_QUESTION_CHARS] if said else ""


def _message(message_id: str, message: dict[str, Any]) -> KeptMessage:
    content = message.get("content")
    return KeptMessage(
        id=message_id,
        role=message["role"],
        content=_text(message) if content is not None else None,
        name=message.get("name"),
        content_parts=content if isinstance(content, list) else None,
        tool_calls=message.get("tool_calls"),
        tool_call_id=message.get("tool_call_id"),
    )


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content)
