"""`{"messages": [{"role", "content"}], "tools": […]}`: OpenAI's, and what most others read too."""

from core.datasets.formats import conversations
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape


def _is_line(values: Values) -> bool:
    return "messages" in values


def _read(row: int, values: Values) -> RowContent:
    if "messages" not in values:
        raise missing(row, "messages_malformed", "messages")
    return conversations.conversation(row, values)


OPENAI_CHAT = LineShape(
    name=Shape.OPENAI_CHAT,
    kind=RowKind.CHAT,
    called='a conversation ("messages")',
    is_line=_is_line,
    read=_read,
)
