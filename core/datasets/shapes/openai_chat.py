"""`{"messages": [{"role", "content"}], "tools": […]}`: OpenAI's, and what most others read too."""

from functools import lru_cache
from typing import Any, Final

from core.datasets.formats import conversations
from core.datasets.shapes.shape import LineShape, Values, missing
from core.datasets.types import RowContent, RowKind, Shape


def _is_line(values: Values) -> bool:
    return "messages" in values


def _read(row: int, values: Values) -> RowContent:
    if "messages" not in values:
        raise missing(row, "messages_malformed", "messages")
    return conversations.conversation(row, values)


# beside messages: other shapes' names, and what is more than contents
_MORE: Final = frozenset({"conversations", "conversation", "tools", "functions"})
_ROLE_AND_CONTENT: Final = 2


def _is_sound(values: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        roles = []
        for message in values["messages"]:
            if len(message) != _ROLE_AND_CONTENT or not message["content"].strip():
                return False
            roles.append(message["role"])
        return is_sound_order(tuple(roles)) and (len(values) == 1 or _MORE.isdisjoint(values))
    except (KeyError, TypeError, AttributeError):
        return False


@lru_cache(maxsize=1000)
def is_sound_order(roles: tuple[str, ...]) -> bool:
    """Of those who only talk: system first if at all, a question before the last answer."""
    spoken = roles[1:] if roles[:1] in {("system",), ("developer",)} else roles
    return spoken[-1:] == ("assistant",) and "user" in spoken and {"user", "assistant"}.issuperset(spoken)


OPENAI_CHAT = LineShape(
    name=Shape.OPENAI_CHAT,
    kind=RowKind.CHAT,
    called='a conversation ("messages")',
    is_line=_is_line,
    read=_read,
    is_sound=_is_sound,
)
