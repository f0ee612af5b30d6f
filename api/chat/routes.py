import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from api.chat.completion import Conversation, answer_whole
from api.chat.requests import ChatBody
from api.chat.schemas import ChatCompletion
from api.chat.stream import begin_stream
from api.chat.token_limit import take_tokens
from api.dependencies import BackendsDep, DatabaseDep, InferenceDep, SettingsDep, require
from api.retries import RetriedRoute
from api.streaming import EventStream
from core.config import Settings
from core.db.session import workspace_scope
from core.errors import Invalid
from core.serving import proofs, routing
from core.serving.completions import log as request_log
from core.serving.completions.keeper import CompletionKeeper
from core.serving.completions.types import LogRule
from core.serving.routing import Route
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/chat", tags=["chat"], route_class=RetriedRoute)

# as nginx has it for who hung up before the answer; nobody reads it but the log
_CLIENT_GONE = 499
# of every answer: the model that gave it, also where an alias was asked for
_SERVED_BY = "x-served-model"


def completion_keeper(request: Request) -> CompletionKeeper:
    found: CompletionKeeper = request.app.state.completion_keeper
    return found


KeeperDep = Annotated[CompletionKeeper, Depends(completion_keeper)]


@router.post(
    "/completions",
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The answer; in pieces with `stream`."}},
)
async def create_chat_completion(
    request: Request,
    response: Response,
    body: ChatBody,
    principal: Annotated[Principal, Depends(require(Permission.CHAT_USE))],
    database: DatabaseDep,
    backends: BackendsDep,
    settings: SettingsDep,
    inference: InferenceDep,
    keeper: KeeperDep,
) -> ChatCompletion | EventStream | Response:
    """Talk to a base or a tuned model."""
    _check(body, settings)

    def resolve() -> tuple[Route, LogRule]:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            found = routing.route(
                session,
                workspace_id=principal.workspace_id,
                name=body.model,
                key=body.routing_key(),
                settings=settings,
                blobs=backends.blobs,
            )
            log = request_log.rule(session, workspace_id=principal.workspace_id)
        proofs.prove_if_needed(database, inference, found.voice.target)
        return found, log

    found, log = await run_in_threadpool(resolve)
    allowance = await take_tokens(
        request,
        body,
        limiter=backends.limits,
        workspace_id=principal.workspace_id,
        per_minute=settings.rate_limit_chat_tokens,
    )
    conversation = Conversation(
        body=body,
        route=found,
        principal=principal,
        allowance=allowance,
        database=database,
        inference=inference,
        keeper=keeper,
        log=log,
        shadows=request.app.state.shadows,
        metrics=request.app.state.chat_metrics,
    )
    served_by = {_SERVED_BY: conversation.route.voice.target.model_id}
    if body.stream:
        stream = EventStream(await begin_stream(conversation))
        stream.headers.update(served_by)
        return stream
    response.headers.update(served_by)
    return await _answer_unless_gone(request, conversation)


def _check(body: ChatBody, settings: Settings) -> None:
    """All that can be refused before anybody looks for the model."""
    body.check()
    body.to_messages()
    body.to_constraint()
    body.to_sampling(choice=0)
    most = settings.max_chats_per_workspace
    if body.num_choices > most:
        raise Invalid(
            f"n asks for {body.num_choices} answers at once, and a workspace may have {most} under way.",
            code="out_of_range",
            param="n",
        )


async def _answer_unless_gone(request: Request, conversation: Conversation) -> ChatCompletion | Response:
    """The whole answer; a client that hangs up before frees its place in the runtime."""
    answering = asyncio.create_task(answer_whole(conversation))
    leaving = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else Response(status_code=_CLIENT_GONE)
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
