"""An answer in pieces, as server-sent events."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import orjson

from api.chat.completion import Conversation, answered_call, logprobs_body
from api.errors import response_of
from api.streaming import COMMENT_HEARTBEAT, event
from core.errors import AppError, Unavailable
from core.inference.types import ChatDelta

logger = logging.getLogger(__name__)

Heard = tuple[int, ChatDelta] | None

# chunks are filled up to a multiple of it, so that their sizes do not tell the lengths of tokens
_OBFUSCATED_BYTES = 64


async def begin_stream(conversation: Conversation) -> AsyncGenerator[str, None]:
    """The stream, once the first words are there: until then a failure is an ordinary error response.

    Words that take long to come are not waited for: then the stream begins with comments, which keep it open.
    """
    pieces = conversation.listen()
    begun: list[Heard] = []
    try:
        async for found in pieces:
            begun.append(found)
            if found is None or not found[1].start:
                break
    except BaseException as error:
        conversation.log_broken(error)
        await conversation.settle()
        raise
    return _speak(conversation, begun, pieces)


async def _speak(
    conversation: Conversation, begun: Sequence[Heard], pieces: AsyncGenerator[Heard, None]
) -> AsyncGenerator[str, None]:
    has_role: set[int] = set()
    try:
        async with aclosing(pieces):
            for found in begun:
                for line in _lines(conversation, found, has_role):
                    yield line
            async for found in pieces:
                for line in _lines(conversation, found, has_role):
                    yield line
        if conversation.body.wants_usage:
            yield _chunk(conversation, [], usage=conversation.usage.model_dump())
        conversation.keep()
        conversation.ask_shadow()
    except AppError as error:
        conversation.log_broken(error)
        yield _broken(error)
    except (asyncio.CancelledError, GeneratorExit) as gone:
        conversation.log_broken(gone)
        raise
    except Exception as error:
        logger.exception("the stream %s broke", conversation.completion_id)
        conversation.log_broken(error)
        yield _broken(Unavailable("The answer broke off on our side. Try again.", code="internal_error"))
    finally:
        # also when the client is gone: what was spoken is paid
        await conversation.settle()
    yield event("[DONE]")


def _lines(conversation: Conversation, found: Heard, has_role: set[int]) -> Iterator[str]:
    if found is None:
        yield COMMENT_HEARTBEAT
        return
    index, piece = found
    if piece.start:
        return
    if index not in has_role:
        has_role.add(index)
        yield _delta(conversation, index, {"role": "assistant", "content": "", "refusal": None})
    if piece.text or piece.logprobs:
        logprobs = logprobs_body(list(piece.logprobs)).model_dump() if conversation.body.logprobs else None
        yield _delta(conversation, index, {"content": piece.text}, logprobs=logprobs)
    if piece.tool_calls:
        calls = [{"index": at, **answered_call(call).model_dump()} for at, call in enumerate(piece.tool_calls)]
        yield _delta(conversation, index, {"tool_calls": calls})
    if piece.finish_reason:
        yield _delta(conversation, index, {}, finish_reason=piece.finish_reason)


def _delta(
    conversation: Conversation,
    index: int,
    delta: dict[str, Any],
    *,
    finish_reason: str | None = None,
    logprobs: dict[str, Any] | None = None,
) -> str:
    return _chunk(
        conversation, [{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}]
    )


def _chunk(conversation: Conversation, choices: list[dict[str, Any]], *, usage: dict[str, int] | None = None) -> str:
    chunk: dict[str, Any] = {
        "id": conversation.completion_id,
        "object": "chat.completion.chunk",
        "created": conversation.created,
        "model": conversation.route.asked,
        "choices": choices,
        "system_fingerprint": conversation.fingerprint,
    }
    if conversation.served_by:
        chunk["served_by"] = conversation.served_by.model_dump()
    if conversation.body.service_tier:
        chunk["service_tier"] = "default"
    if conversation.body.wants_usage:
        # null in every chunk but the last, as on the wire
        chunk["usage"] = usage
    if conversation.body.wants_obfuscation:
        num_missing = -len(orjson.dumps(chunk)) % _OBFUSCATED_BYTES
        chunk["obfuscation"] = secrets.token_hex(_OBFUSCATED_BYTES)[:num_missing]
    return event(chunk)


def _broken(error: AppError) -> str:
    """The body of an ordinary error as an event, which the official clients raise."""
    return event(orjson.loads(bytes(response_of(error).body)))
