"""ShareGPT's `{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}` and its variants.

Others name the speakers otherwise, write OpenAI's `role` and `content`, put `system` and `tools` beside the list, or
have calls of functions as messages of their own. What stands after the last answer is nobody's answer: it is left away.
"""

from typing import Any, Final

import orjson

from core.datasets.formats import conversations, preferences, refusals
from core.datasets.shapes.openai_chat import is_sound_order
from core.datasets.shapes.shape import LineShape, Values, missing, without_answer
from core.datasets.types import Problem, RowContent, RowKind, Shape

_NAMES: Final = ("conversations", "conversation", "messages")
_ROLES: Final = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bot": "assistant", "bing": "assistant",
    "bard": "assistant", "model": "assistant", "ai": "assistant",
    "system": "system", "developer": "system",
    "tool": "tool", "observation": "tool", "function_response": "tool",
    "function_call": "call", "tool_call": "call",
}  # fmt: skip
_LINE: Final = '{"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}]}'
_CALL: Final = '{"name": "…", "arguments": {…}}'


def _is_line(values: Values) -> bool:
    name = next((name for name in _NAMES if name in values), None)
    if name is None or not isinstance(values[name], list) or preferences.is_preference(values):
        return False
    # OpenAI's own messages are a shape of their own
    return name != "messages" or any(isinstance(item, dict) and "from" in item for item in values[name][:1])


def _read(row: int, values: Values) -> RowContent | Problem:
    name = next((name for name in _NAMES if isinstance(values.get(name), list)), None)
    if name is None:
        raise missing(row, "messages_malformed", "conversations")
    messages = [_message(row, f"{name}[{index}]", item) for index, item in enumerate(values[name])]
    while messages and (messages[-1]["role"] != "assistant" or "tool_calls" in messages[-1]):
        messages.pop()
    if not messages:
        return without_answer(row, name)
    system = values.get("system")
    if isinstance(system, str) and system.strip() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return conversations.conversation(row, {"messages": messages, "tools": _tools(row, values.get("tools"))})


def _message(row: int, place: str, item: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    if not isinstance(item, dict):
        conversations.malformed(row, place, "This is not a message.", f"Write {_LINE}.")
    speaker, said = item.get("from", item.get("role")), item.get("value", item.get("content"))
    role = _ROLES.get(speaker.strip().casefold()) if isinstance(speaker, str) else None
    if role is None:
        conversations.malformed(
            row, f"{place}.from", f"Who {refusals.quoted(str(speaker))} is, is not known.", "Use human, gpt or system."
        )
    if role == "call":
        return {"role": "assistant", "content": None, "tool_calls": _calls(row, f"{place}.value", said)}
    kept = {name: item[name] for name in ("tool_calls", "tool_call_id", "weight") if item.get(name) is not None}
    if not isinstance(said, str) and not (said is None and "tool_calls" in kept):
        conversations.malformed(row, f"{place}.value", "What is said is not a text.", "Write it as one string.")
    return {"role": role, "content": said, **kept}


def _calls(row: int, place: str, said: object) -> list[dict[str, Any]]:
    called = _json(said)
    found = called if isinstance(called, list) else [called]
    if not all(isinstance(call, dict) and "name" in call for call in found):
        conversations.malformed(row, place, "This is no call of a function.", f"Write {_CALL}.")
    return [
        {"type": "function", "function": {"name": call["name"], "arguments": call.get("arguments", {})}}
        for call in found
    ]


def _tools(row: int, given: object) -> object:
    """In OpenAI's words; a list or its JSON as text, of tools or of the functions alone."""
    if given is None or given == "":
        return None
    tools = _json(given)
    if not isinstance(tools, list):
        conversations.malformed(row, "tools", "This is not a list of tools.", "Write a list, or its JSON as one text.")
    return [
        {"type": "function", "function": tool} if isinstance(tool, dict) and "function" not in tool else tool
        for tool in tools
    ]


def _json(given: object) -> Any:  # noqa: ANN401 - any JSON
    if not isinstance(given, str):
        return given
    try:
        return orjson.loads(given)
    except orjson.JSONDecodeError:
        return None


_FROM_AND_VALUE: Final = 2


def _is_sound(values: Any) -> bool:  # noqa: ANN401 - any JSON
    """Of `conversations` alone in which only those speak whom everybody calls so."""
    try:
        roles = []
        for message in values["conversations"]:
            if len(message) != _FROM_AND_VALUE or not message["value"].strip():
                return False
            roles.append(_ROLES[message["from"]])
        return len(values) == 1 and is_sound_order(tuple(roles))
    except (KeyError, TypeError, AttributeError):
        return False


SHAREGPT = LineShape(
    name=Shape.SHAREGPT,
    kind=RowKind.CHAT,
    called='a conversation ("conversations")',
    is_line=_is_line,
    read=_read,
    is_sound=_is_sound,
)
