"""Messages as OpenAI's chat has them, checked: roles and their order, contents, weights, tools and calls of tools."""

from collections.abc import Sequence
from typing import Any, NoReturn

import orjson

from core.datasets.formats import refusals
from core.datasets.types import Message, RowContent, ToolCall

# compared, not hashed: a role may be any JSON value
_ROLES: tuple[Any, ...] = ("system", "user", "assistant", "tool")
_CONVERSATION = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'
_TOOL = '{"type": "function", "function": {"name": "…", "parameters": {…}}}'
_MAX_DEPTH = 64
_CALL = '{"id": "…", "type": "function", "function": {"name": "…", "arguments": "{…}"}}'


def conversation(row: int, values: dict[str, Any]) -> RowContent:
    """`{"messages", "tools"}` in the shape that chat models are trained on.

    Raises Invalid if they are not a list of messages, system only first, the assistant last.
    Empty contents pass: they are a problem of one row, not of the file's shape.
    """
    found = messages_of(row, values["messages"], "messages")
    if found[-1]["role"] != "assistant":
        malformed(
            row,
            f"messages[{len(found) - 1}].role",
            "The last message is not the assistant's, so there is nothing to learn.",
            "End the conversation with the answer that you want.",
        )
    if not any(message["role"] == "user" for message in found):
        malformed(row, "messages", "No message is the user's.", "Add the question before the answer.")
    return RowContent(messages=found, tools=tools_of(row, values))


def messages_of(row: int, given: object, place: str) -> list[Message]:
    """A list of at least one message. Raises Invalid, naming the place."""
    if not isinstance(given, list) or not given:
        malformed(row, place, "This is not a list of messages.", f"Write {_CONVERSATION}.")
    messages: list[Message] = []
    for index, message in enumerate(given):
        messages.append(_message(row, f"{place}[{index}]", message, before=messages))
    return messages


def tools_of(row: int, values: dict[str, Any], *, place: str = "tools") -> list[dict[str, Any]] | None:
    """The tool definitions beside messages; none where there are none. Raises Invalid."""
    if values.get("functions"):
        malformed(
            row,
            place.replace("tools", "functions"),
            "Functions are written in OpenAI's old way.",
            f"Write them as tools: [{_TOOL}].",
        )
    tools = values.get("tools")
    if tools is None or tools == []:
        return None
    if not isinstance(tools, list) or not _is_shallow(tools):
        malformed(row, place, "This is not a list of tools.", f"Write [{_TOOL}].")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not _is_name(function.get("name")):
            malformed(row, f"{place}[{index}]", "A tool must be a function with a name.", f"Write {_TOOL}.")
    return tools


def _message(row: int, place: str, given: object, *, before: Sequence[Message]) -> Message:
    if not isinstance(given, dict):
        malformed(row, place, "A message must be an object with role and content.", f"Write {_CONVERSATION}.")
    role = _role(row, place, given.get("role"), is_first=not before)
    if given.get("function_call"):
        malformed(
            row,
            f"{place}.function_call",
            "The call is written in OpenAI's old way.",
            f"Write it as tool_calls: [{_CALL}].",
        )
    calls = _calls(row, place, role, given.get("tool_calls"))
    content = given.get("content")
    if not isinstance(content, str) and not (content is None and calls):
        malformed(row, f"{place}.content", "The content is not a text.", "Write the content as one string.")
    message = Message(role=role, content=content)
    if calls:
        message["tool_calls"] = calls
    weight = _weight(row, place, role, given.get("weight"))
    if weight is not None:
        message["weight"] = weight
    name = _text(row, f"{place}.name", given.get("name"))
    if name is not None:
        message["name"] = name
    if role == "tool":
        call_id = _text(row, f"{place}.tool_call_id", given.get("tool_call_id"))
        _check_answers_a_call(row, place, call_id, before)
        if call_id is not None:
            message["tool_call_id"] = call_id
    return message


def _role(row: int, place: str, given: Any, *, is_first: bool) -> Any:  # noqa: ANN401 - any JSON in, a literal out
    # OpenAI's newer name for the same thing
    role = "system" if given == "developer" else given
    if role not in _ROLES:
        malformed(
            row,
            f"{place}.role",
            f"The role {refusals.quoted(str(role))} is not known.",
            "Use system, user, assistant or tool.",
        )
    if role == "system" and not is_first:
        malformed(row, f"{place}.role", "A system message may only come first.", "Move it to the beginning.")
    return role


def _text(row: int, place: str, given: object) -> str | None:
    if given is not None and not isinstance(given, str):
        malformed(row, place, "This is not a text.", "Write one string.")
    return given


def _weight(row: int, place: str, role: str, given: object) -> float | None:
    """None where it is what it would be anyway."""
    if given is None or (role != "assistant" and given in (0, 1)):
        return None
    if role != "assistant":
        malformed(
            row,
            f"{place}.weight",
            "Only the assistant's messages are learned, so only they have a weight.",
            "Remove the weight.",
        )
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given <= 1:
        malformed(
            row,
            f"{place}.weight",
            "A weight is a number from 0, not learned, to 1, learned in full.",
            "Write 0, 1, or a number between.",
        )
    return None if given == 1 else float(given)


def _calls(row: int, place: str, role: str, given: object) -> list[ToolCall]:
    if given is None or given == []:
        return []
    if role != "assistant" or not isinstance(given, list):
        malformed(row, f"{place}.tool_calls", "Only the assistant calls tools, in a list.", f"Write [{_CALL}].")
    return [_call(row, f"{place}.tool_calls[{index}]", call) for index, call in enumerate(given)]


def _call(row: int, place: str, given: object) -> ToolCall:
    function = given.get("function") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(function, dict) or not _is_name(function.get("name")):
        malformed(row, place, "A call must name a function.", f"Write {_CALL}.")
    arguments = function.get("arguments", "{}")
    if isinstance(arguments, dict):
        # as many exports have them; on the wire they are text
        arguments = orjson.dumps(arguments).decode()
    if not isinstance(arguments, str) or not _is_object(arguments):
        malformed(row, f"{place}.function.arguments", "The arguments are not a JSON object.", f"Write {_CALL}.")
    call = ToolCall(type="function", function={"name": function["name"], "arguments": arguments})
    if isinstance(given.get("id"), str):
        call["id"] = given["id"]
    return call


def _check_answers_a_call(row: int, place: str, wanted: str | None, before: Sequence[Message]) -> None:
    """A tool speaks after a call, alone or among others that were called with it."""
    asked = next((message for message in reversed(before) if message["role"] != "tool"), None)
    calls = asked.get("tool_calls", []) if asked is not None else []
    ids = [call["id"] for call in calls if "id" in call]
    if not calls or (wanted is not None and ids and wanted not in ids):
        malformed(
            row,
            f"{place}.tool_call_id" if calls else f"{place}.role",
            "This answer of a tool belongs to no call of the assistant.",
            "Put it after the message whose tool_calls it answers, with that call's id as tool_call_id.",
        )


def _is_shallow(value: object) -> bool:
    """No deeper than any real definition: what reads and writes it later does so by recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            item
            for nested in level
            if isinstance(nested, dict | list)
            for item in (nested.values() if isinstance(nested, dict) else nested)
        ]
        if not level:
            return True
    return False


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def malformed(row: int, column: str, cause: str, fix: str) -> NoReturn:
    raise refusals.refuse("messages_malformed", row=row, column=column, cause=cause, fix=fix)
