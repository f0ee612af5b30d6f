from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool

from api.chat.completion import Conversation, answer_whole, begin_stream
from api.chat.schemas import ChatBody, ChatCompletion
from api.dependencies import BackendsDep, DatabaseDep, SettingsDep, require
from api.retries import RetriedRoute
from api.streaming import EventStream
from core.db.session import workspace_scope
from core.inference.client import InferenceClient
from core.serving import service as serving
from core.serving.service import Target
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(prefix="/v1/chat", tags=["chat"], route_class=RetriedRoute)


def _inference(request: Request, settings: SettingsDep) -> InferenceClient:
    if request.app.state.inference is None:
        request.app.state.inference = InferenceClient(settings)
    found: InferenceClient = request.app.state.inference
    return found


@router.post(
    "/completions",
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {}}, "description": "The answer; in pieces with `stream`."}},
)
async def create_chat_completion(
    body: ChatBody,
    principal: Annotated[Principal, Depends(require(Permission.CHAT_USE))],
    database: DatabaseDep,
    backends: BackendsDep,
    settings: SettingsDep,
    inference: Annotated[InferenceClient, Depends(_inference)],
) -> ChatCompletion | EventStream:
    """Talk to a base or a tuned model."""
    body.refuse_unsupported()

    def resolve() -> Target:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            return serving.resolve(
                session,
                workspace_id=principal.workspace_id,
                model_id=body.model,
                settings=settings,
                blobs=backends.blobs,
            )

    conversation = Conversation(
        body=body,
        target=await run_in_threadpool(resolve),
        principal=principal,
        database=database,
        inference=inference,
    )
    if body.stream:
        return EventStream(await begin_stream(conversation))
    return await answer_whole(conversation)
