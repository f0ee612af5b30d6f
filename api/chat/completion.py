"""One chat request answered: whole or in pieces, and metered once in either case.

No database session is held while it is spoken.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import orjson

from api.chat.schemas import AnswerMessage, ChatBody, ChatCompletion, Choice, UsageBlock
from api.errors import response_of
from api.streaming import event, run_to_the_end
from core.db.session import Database, workspace_scope
from core.errors import AppError, Unavailable
from core.inference.client import InferenceClient
from core.inference.types import ChatDelta, ChatRequest
from core.kit.clock import unix_s, utc_now
from core.kit.ids import new_id
from core.serving import service as serving
from core.serving.service import Target
from core.workspaces.principal import Principal

logger = logging.getLogger(__name__)

Pieces = AsyncGenerator[ChatDelta, None]


@dataclass(slots=True)
class Conversation:
    """A checked request on its way to the runtime, and the meter that runs with it."""

    body: ChatBody
    target: Target
    principal: Principal
    database: Database
    inference: InferenceClient
    completion_id: str = field(default_factory=lambda: new_id("chatcmpl-"))
    created: int = field(default_factory=lambda: unix_s(utc_now()))
    seconds: float = 0.0
    hardware: str = "cpu"
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def request(self, choice: int) -> ChatRequest:
        return ChatRequest(
            base_model=self.target.base_model,
            adapter=self.target.adapter,
            quantization=self.target.quantization,
            messages=self.body.to_messages(),
            sampling=self.body.to_sampling(choice=choice),
        )

    def open(self, choice: int) -> Pieces:
        return self.inference.stream(self.request(choice))

    @property
    def num_choices(self) -> int:
        return self.body.n or 1

    @property
    def wants_usage(self) -> bool:
        return self.body.stream_options is not None and self.body.stream_options.include_usage

    @property
    def usage(self) -> UsageBlock:
        return UsageBlock(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            total_tokens=self.prompt_tokens + self.completion_tokens,
        )

    def count(self, *, prompt_tokens: int, completion_tokens: int, seconds: float, hardware: str | None = None) -> None:
        # every choice reads the same prompt: its tokens count once, its time each time
        self.prompt_tokens = max(self.prompt_tokens, prompt_tokens)
        self.completion_tokens += completion_tokens
        self.seconds += seconds
        self.hardware = hardware or self.hardware

    def settle(self) -> None:
        """Enter what was used in the ledger, in a short session of its own. Never raises: the answer is given."""
        if not self.seconds:
            return
        try:
            with self.database.session(workspace_scope(self.principal.workspace_id)) as session:
                serving.meter(
                    session,
                    workspace_id=self.principal.workspace_id,
                    completion_id=self.completion_id,
                    hardware=self.hardware,
                    seconds=self.seconds,
                    num_tokens=self.usage.total_tokens,
                    created_by=self.principal.user_id,
                )
        except Exception:
            logger.exception("the use of %s was not entered in the ledger", self.completion_id)


async def answer_whole(conversation: Conversation) -> ChatCompletion:
    """Raises the runtime's error; what was spoken before it is paid."""
    try:
        choices = [await _listen(conversation, index) for index in range(conversation.num_choices)]
    finally:
        await run_to_the_end(conversation.settle)
    return ChatCompletion(
        id=conversation.completion_id,
        created=conversation.created,
        model=conversation.target.model_id,
        choices=choices,
        usage=conversation.usage,
    )


async def _listen(conversation: Conversation, index: int) -> Choice:
    """One whole choice. By the stream, for a thread a waiting client would soon use up all threads."""
    texts = []
    async with aclosing(conversation.open(index)) as pieces:
        async for piece in pieces:
            texts.append(piece.text)
            if piece.usage:
                conversation.count(**piece.usage.model_dump())
            if piece.finish_reason:
                message = AnswerMessage(content="".join(texts))
                return Choice(index=index, message=message, finish_reason=piece.finish_reason)
    raise Unavailable("The model server stopped in the middle of the answer. Try again.", code="inference_cut_off")


async def begin_stream(conversation: Conversation) -> AsyncGenerator[str, None]:
    """The stream, once its first piece is there: until then a failure is an ordinary error response."""
    started = monotonic()
    pieces = conversation.open(0)
    first = await anext(pieces)
    return _speak(conversation, first, pieces, started)


async def _speak(
    conversation: Conversation, first: ChatDelta, pieces: Pieces, started: float
) -> AsyncGenerator[str, None]:
    try:
        for index in range(conversation.num_choices):
            if index:
                started = monotonic()
                pieces = conversation.open(index)
                first = await anext(pieces)
            async with aclosing(_choice(conversation, index, first, pieces, started)) as lines:
                async for line in lines:
                    yield line
        if conversation.wants_usage:
            yield event(_chunk(conversation, [], usage=conversation.usage.model_dump()))
    except AppError as error:
        yield _broken(error)
    except Exception:
        logger.exception("the stream %s broke", conversation.completion_id)
        yield _broken(Unavailable("The answer broke off on our side. Try again.", code="internal_error"))
    finally:
        # also when the client is gone: what was spoken is paid
        await run_to_the_end(conversation.settle)
    yield event("[DONE]")


async def _choice(
    conversation: Conversation, index: int, first: ChatDelta, pieces: Pieces, started: float
) -> AsyncGenerator[str, None]:
    num_pieces = 0
    is_counted = False
    try:
        async with aclosing(pieces):
            yield event(_delta(conversation, index, {"role": "assistant", "content": "", "refusal": None}))
            piece = first
            while True:
                if piece.text:
                    num_pieces += 1
                    yield event(_delta(conversation, index, {"content": piece.text}))
                if piece.usage:
                    conversation.count(**piece.usage.model_dump())
                    is_counted = True
                if piece.finish_reason:
                    yield event(_delta(conversation, index, {}, finish_reason=piece.finish_reason))
                    return
                piece = await anext(pieces)
    finally:
        if not is_counted:
            # cut off by the client or a failure: a piece is about a token, and our own clock is the best there is
            conversation.count(prompt_tokens=0, completion_tokens=num_pieces, seconds=monotonic() - started)


def _delta(
    conversation: Conversation, index: int, delta: dict[str, Any], *, finish_reason: str | None = None
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return _chunk(conversation, [choice])


def _chunk(
    conversation: Conversation, choices: list[dict[str, Any]], *, usage: dict[str, int] | None = None
) -> dict[str, Any]:
    chunk: dict[str, Any] = {
        "id": conversation.completion_id,
        "object": "chat.completion.chunk",
        "created": conversation.created,
        "model": conversation.target.model_id,
        "choices": choices,
        "system_fingerprint": None,
    }
    if conversation.wants_usage:
        # null in every chunk but the last, as on the wire
        chunk["usage"] = usage
    return chunk


def _broken(error: AppError) -> str:
    """The body of an ordinary error as an event, which the official clients raise."""
    return event(orjson.loads(bytes(response_of(error).body)))
