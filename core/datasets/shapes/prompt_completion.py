"""`{"prompt": […], "completion": […]}` with lists of messages; two texts are a table like any other."""

from typing import Any, Final

from core.datasets.formats import conversations
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape

_SIDES: Final = {"prompt": "user", "completion": "assistant"}


def _is_line(values: Values) -> bool:
    return _SIDES.keys() <= values.keys() and any(isinstance(values[name], list) for name in _SIDES)


def _read(row: int, values: Values) -> RowContent:
    messages = []
    for name, role in _SIDES.items():
        if name not in values:
            raise missing(row, "messages_malformed", name)
        messages += _messages(row, values[name], name, role)
    return conversations.conversation(row, {"messages": messages, "tools": values.get("tools")})


def _messages(row: int, given: Any, name: str, role: str) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    if isinstance(given, str):
        return [{"role": role, "content": given}]
    if not isinstance(given, list):
        conversations.malformed(row, name, "This is neither a text nor a list of messages.", "Write one of them.")
    return given


PROMPT_COMPLETION = LineShape(
    name=Shape.PROMPT_COMPLETION,
    kind=RowKind.CHAT,
    called='a conversation ("prompt" and "completion")',
    is_line=_is_line,
    read=_read,
)
