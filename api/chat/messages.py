"""The messages of a conversation as the wire spells them, and as the runtime reads them."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from pydantic import ConfigDict

from api.schemas import JsonBody
from core.errors import Invalid
from core.inference.types import Message, ToolCall

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
# said of an answer of a model that can do more; empty in those of ours
_EMPTY_HERE: Final = ("refusal", "annotations", "audio", "function_call")
# a hint to a cache that is not there
_NO_PARTS_OF_A_TEXT: Final = frozenset({"prompt_cache_breakpoint"})


class PartBody(JsonBody):
    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None


class FunctionCallBody(JsonBody):
    name: str
    arguments: str


class ToolCallBody(JsonBody):
    id: str
    type: str = "function"
    function: FunctionCallBody | None = None


class MessageBody(JsonBody):
    model_config = ConfigDict(extra="allow")

    role: str
    content: str | list[PartBody] | None = None
    name: str | None = None
    tool_calls: list[ToolCallBody] | None = None
    tool_call_id: str | None = None


def to_messages(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """Raises `Invalid`, naming the place, for what is no text, is out of order, or would be left out silently."""
    calls: set[str] = set()
    found = []
    for index, body in enumerate(bodies):
        message = _message(body, f"messages.{index}")
        if message.role == "tool" and message.tool_call_id not in calls:
            raise Invalid(
                f"Message {index} is a tool's, and no message of the assistant before it has a call with its "
                "tool_call_id.",
                code="invalid_value",
                param=f"messages.{index}.tool_call_id",
            )
        calls |= {call.id for call in message.tool_calls}
        found.append(message)
    return tuple(found)


def with_system_prompt(messages: tuple[Message, ...], prompt: str) -> tuple[Message, ...]:
    """A prompt profile's word comes first, unless the conversation has a system message of its own."""
    if not prompt or any(message.role == "system" for message in messages):
        return messages
    return (Message(role="system", content=prompt), *messages)


def _message(body: MessageBody, place: str) -> Message:
    role = _ROLES.get(body.role)
    if role is None:
        raise _refused(f"{place}.role", f"The role {body.role!r} is not known here")
    for name, value in (body.model_extra or {}).items():
        if value and name in _EMPTY_HERE:
            raise _refused(f"{place}.{name}", f"A message with {name} cannot be read by the models here")
        if value is not None and name not in _EMPTY_HERE:
            raise _refused(f"{place}.{name}", f"A message has no field {name!r} here")
    if body.tool_calls and role != "assistant":
        raise _refused(f"{place}.tool_calls", "Only the assistant calls tools")
    calls = tuple(_call(call, f"{place}.tool_calls.{index}") for index, call in enumerate(body.tool_calls or ()))
    return Message(
        role=role,
        content=_text(body, place, may_be_missing=bool(calls)),
        name=body.name,
        tool_calls=calls,
        tool_call_id=body.tool_call_id,
    )


def _call(call: ToolCallBody, place: str) -> ToolCall:
    if call.function is None or call.type != "function":
        raise _refused(f"{place}.type", "Only calls of functions can be read")
    return ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)


def _text(body: MessageBody, place: str, *, may_be_missing: bool) -> str:
    if isinstance(body.content, str):
        return body.content
    if body.content is None:
        if may_be_missing:
            return ""
        raise Invalid("A message needs a content.", code="invalid_value", param=f"{place}.content")
    for part in body.content:
        if part.type != "text" or part.text is None:
            raise _refused(f"{place}.content", f"A part of type {part.type!r} cannot be read; only text can")
        strange = [name for name in (part.model_extra or {}) if name not in _NO_PARTS_OF_A_TEXT]
        if strange:
            raise _refused(f"{place}.content.{strange[0]}", f"A part of a text has no field {strange[0]!r} here")
    return "".join(part.text or "" for part in body.content)


def _refused(param: str, what: str) -> Invalid:
    return Invalid(
        f"{what}, and leaving it out silently would change the answer. Send the request without it.",
        code="unsupported_parameter",
        param=param,
    )


def as_stored(body: MessageBody) -> dict[str, Any]:
    return body.model_dump(mode="json", exclude_none=True)
