"""One row's content: cleaned, and the faults for which it is left out."""

from collections.abc import Iterator

from core.datasets.types import Message, Problem, RowContent, RowKind, Severity


def clean(text: str) -> str:
    """Without blanks around it, and with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def shown(value: object) -> str:
    """A JSON value as a cell would show it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)
    except RecursionError:
        # lists in lists a thousand deep, which the parser still takes
        return "…"


def question_and_answer(question: str, answer: str, *, system: str = "") -> RowContent:
    messages = [Message(role="user", content=question), Message(role="assistant", content=answer)]
    if system.strip():
        messages.insert(0, Message(role="system", content=system))
    return RowContent(messages=messages)


def joined(text: str, more: str) -> str:
    """With a blank line between the two, if both say something."""
    return f"{text}\n\n{more}" if text.strip() and more.strip() else text if text.strip() else more


def cleaned(content: RowContent) -> RowContent:
    return RowContent(
        messages=_cleaned(content.messages),
        tools=content.tools,
        chosen=None if content.chosen is None else _cleaned(content.chosen),
        rejected=None if content.rejected is None else _cleaned(content.rejected),
        text=None if content.text is None else clean(content.text),
    )


def fault_of(row: int, content: RowContent) -> Problem | None:
    """Why the row cannot be learned from; None if it can."""
    if any("\0" in text for text in _strings(content.dump_content())):
        # JSON can spell a zero character that no text column can hold
        return _error(row, None, "zero_character", "The text holds a zero character (\\u0000).", "Remove it.")
    if content.text is not None:
        return None if content.text else empty(row, "text")
    is_preference = content.kind is RowKind.PREFERENCE
    for place, messages in (
        ("prompt" if is_preference else "messages", content.messages),
        ("chosen", content.chosen or []),
        ("rejected", content.rejected or []),
    ):
        for index, message in enumerate(messages):
            # a tool may well have nothing to say
            if not message["content"] and not message.get("tool_calls") and message["role"] != "tool":
                return empty(row, place if is_preference and len(messages) == 1 else f"{place}[{index}].content")
    if is_preference:
        return _alike(row, content)
    if all(message.get("weight", 1) == 0 for message in content.messages if message["role"] == "assistant"):
        return _error(
            row,
            "messages",
            "nothing_to_learn",
            "Every answer has the weight 0, so there is nothing to learn.",
            "Give the answer to be learned the weight 1, or delete the row; it is left out as it is.",
        )
    return None


def empty(row: int, column: str) -> Problem:
    return _error(
        row, column, "empty", "There is nothing here.", "Fill it in, or delete the row; it is left out as it is."
    )


def _alike(row: int, content: RowContent) -> Problem | None:
    if content.chosen != content.rejected:
        return None
    return _error(
        row,
        "rejected",
        "answers_alike",
        "The preferred answer and the other are the same, so there is nothing to prefer.",
        "Write two answers that differ, or delete the row; it is left out as it is.",
    )


def _cleaned(messages: list[Message]) -> list[Message]:
    found = []
    for message in messages:
        copy = message.copy()
        copy["content"] = None if message["content"] is None else clean(message["content"])
        found.append(copy)
    return found


def _strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys too; not by recursion, for it may be deep."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pending += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            pending += item


def _error(row: int, column: str | None, code: str, cause: str, fix: str) -> Problem:
    return Problem(row=row, column=column, code=code, cause=cause, fix=fix, severity=Severity.ERROR)
