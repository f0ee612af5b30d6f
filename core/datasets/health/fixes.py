"""What can be mended in a row without asking anybody."""

from collections.abc import Callable, Mapping
from typing import Final

from core.datasets.health.markup import without_control_tokens, without_markup
from core.datasets.health.personal import SORTS
from core.datasets.health.secrets import mask_secrets
from core.datasets.rows import fault_of
from core.datasets.types import Message, RowContent

# personal data and secrets: there may be a right to learn from them, which only a person can know
KEEPABLE: Final = frozenset({*(sort.rule.code for sort in SORTS), "secret"})
_MENDED: Final[Mapping[str, Callable[[str], str]]] = {
    **{sort.rule.code: sort.mask for sort in SORTS},
    "secret": mask_secrets,
    "control_token": without_control_tokens,
    "markup": without_markup,
}


def fixed(code: str, row: RowContent) -> RowContent | None:
    """The row without what was found in it; None where only leaving it out helps, or where nothing is left of it."""
    mend = _MENDED.get(code)
    if mend is None:
        return None
    mended = with_texts(row, mend)
    return None if fault_of(0, mended) is not None else mended


def with_texts(row: RowContent, change: Callable[[str], str]) -> RowContent:
    """The row with every text changed: contents, arguments of calls, plain text."""
    return row.model_copy(
        update={
            "messages": _with_texts(row.messages, change),
            "chosen": None if row.chosen is None else _with_texts(row.chosen, change),
            "rejected": None if row.rejected is None else _with_texts(row.rejected, change),
            "text": None if row.text is None else change(row.text),
        }
    )


def _with_texts(messages: list[Message], change: Callable[[str], str]) -> list[Message]:
    found = []
    for message in messages:
        copy = message.copy()
        if message["content"] is not None:
            copy["content"] = change(message["content"])
        if "tool_calls" in message:
            calls = [call.copy() for call in message["tool_calls"]]
            for call in calls:
                function = call["function"].copy()
                function["arguments"] = change(function["arguments"])
                call["function"] = function
            copy["tool_calls"] = calls
        found.append(copy)
    return found
