"""Messages and tools as chat templates want them, with every text in them that could forge a turn broken up."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from core.errors import Invalid
from worker.training.data.guarded_tokenizer import Guard, unused_marks, wrapped

Message = Mapping[str, Any]
Tool = Mapping[str, Any]

_ROLES = frozenset({"system", "user", "assistant", "tool"})
_ASKING = frozenset({"user", "tool"})
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")
# far below what anyone means, and far above what a float32 divided by itself still gives as 1
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Guards:
    """Of contents by role.

    Who asks (users, tools, their definitions and names) can write no marker. Who answers or instructs may write tags,
    such as those around the reasoning before an answer, but no special token.
    """

    asking: Guard
    answering: Guard

    def of(self, role: str) -> Guard:
        return self.asking if role in _ASKING else self.answering


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a template is given. `marks` are the break, and the two that stand around contents where that was asked."""

    messages: list[dict[str, Any]]
    tools: list[Any] | None
    marks: tuple[str, str, str]


def normal(messages: Sequence[Message], *, has_short_ids: bool) -> list[dict[str, Any]]:
    """The fields that templates know, with contents and arguments in the one form that all of them understand.

    An empty content for none, arguments as an object; with `has_short_ids` ids of calls as Mistral's templates demand
    them, of nine letters or digits. Raises Invalid for what is no conversation.
    """
    found = []
    calls: list[str] = []  # ids of the calls that no tool has answered yet
    for at, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role not in _ROLES:
            raise Invalid(
                f"The role '{role}' is not known; use system, user, assistant or tool.",
                code="unknown_role",
                param="role",
            )
        if not isinstance(content, str) and (content is not None or not message.get("tool_calls")):
            raise Invalid("A message's content must be a text.", code="content_malformed", param="content")
        clean: dict[str, Any] = {"role": role, "content": content or ""}
        if message.get("tool_calls"):
            clean["tool_calls"] = [_call(call) for call in message["tool_calls"]]
            calls = [str(call.get("id") or f"{at}.{number}") for number, call in enumerate(message["tool_calls"])]
            if has_short_ids:
                clean["tool_calls"] = [
                    {**call, "id": _short(one)} for call, one in zip(clean["tool_calls"], calls, strict=True)
                ]
        if message.get("name"):
            clean["name"] = str(message["name"])
        if role == "tool":
            answered = message.get("tool_call_id") or next(iter(calls), None)
            calls = [one for one in calls if one != answered]
            if answered is not None and (has_short_ids or message.get("tool_call_id")):
                clean["tool_call_id"] = _short(answered) if has_short_ids else answered
        found.append(clean)
    return found


def weight_of(message: Message) -> float:
    """0 for less than a millionth. Raises Invalid if it is not between 0 and 1."""
    if message["role"] != "assistant":
        return 0.0
    weight = message.get("weight")
    value = 1.0 if weight is None else weight
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Invalid("A message's weight must be between 0 and 1.", code="weight_out_of_range", param="weight")
    return float(value) if value >= _LEAST_WEIGHT else 0.0


def guarded(
    messages: Sequence[dict[str, Any]], tools: Sequence[Tool] | None, guards: Guards, *, marks_contents: bool = False
) -> Conversation:
    """Both with the guards' breaks. With `marks_contents` those of users, systems and tools stand between two marks."""
    suspects = tools is not None and any(map(guards.asking.is_suspect, _strings(tools)))
    suspects = suspects or any(
        guards.of(message["role"]).is_suspect(message["content"])
        or any(guards.asking.is_suspect(text) for key, value in message.items() for text in _names(key, value))
        for message in messages
    )
    if not suspects and not marks_contents:
        return Conversation(list(messages), None if tools is None else list(tools), ("", "", ""))
    marks = list(islice(unused_marks([*_strings(list(messages)), *_strings(tools)]), 3))
    if len(marks) < 3:  # noqa: PLR2004 - as many as are unpacked
        raise Invalid(
            "This conversation has all of Unicode's characters for private use in it. Take some out.",
            code="conversation_refused",
        )
    mark, opening, closing = marks
    found = []
    for message in messages:
        changed = {key: _broken(value, guards.asking, mark) for key, value in message.items() if key != "role"}
        changed["content"] = _broken(message["content"], guards.of(message["role"]), mark)
        if marks_contents and message["role"] != "assistant" and message["content"].strip():
            changed["content"] = wrapped(changed["content"], opening, closing)
        found.append({"role": message["role"], **changed})
    changed_tools = None if tools is None else [_broken(tool, guards.asking, mark) for tool in tools]
    return Conversation(found, changed_tools, (mark, opening, closing))


def without_marks(text: str, opening: str, closing: str) -> tuple[str, list[tuple[int, int]]]:
    """The text that was between marks and around them, and where in it the marked stretches lie."""
    parts: list[str] = []
    stretches = []
    length = start = 0
    for part in re.split(f"([{opening}{closing}])", text):
        if part == opening:
            start = length
        elif part == closing:
            stretches.append((start, length))
        else:
            parts.append(part)
            length += len(part)
    return "".join(parts), stretches


def _call(call: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise Invalid("A call of a tool must name its function.", code="tool_call_malformed", param="tool_calls")
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            arguments = None
    if not isinstance(arguments, Mapping):
        raise Invalid("A call's arguments must be a JSON object.", code="tool_call_malformed", param="tool_calls")
    known = {"id": str(call["id"])} if call.get("id") else {}
    return {**known, "type": "function", "function": {"name": function["name"], "arguments": dict(arguments)}}


def _short(call_id: str) -> str:
    return call_id if _SHORT_ID.fullmatch(call_id) else hashlib.sha256(call_id.encode()).hexdigest()[:9]


def _names(key: str, value: object) -> Iterator[str]:
    """Texts of a message beside its role and content."""
    return iter(()) if key in {"role", "content"} else _strings(value)


def _strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _broken(value: Any, guard: Guard, mark: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return guard.broken(value, mark) if guard.is_suspect(value) else value
    if isinstance(value, Mapping):
        return {_broken(key, guard, mark): _broken(item, guard, mark) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_broken(item, guard, mark) for item in value]
    return value
