"""JSON lines: one object a line, either a conversation (`messages`) or named values like a table's row."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

import orjson

from core.datasets.formats import refusals
from core.datasets.formats.lines import Position, text_lines
from core.datasets.formats.refusals import MAX_ROWS
from core.datasets.types import Message

# compared, not hashed: a role may be any JSON value
_ROLES: tuple[Any, ...] = ("system", "user", "assistant")
_CONVERSATION = '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}'


@dataclass(frozen=True, slots=True)
class JsonRecord:
    row: int
    values: dict[str, Any]


def read_objects(stream: BinaryIO) -> Iterator[JsonRecord]:
    """Every line that is not blank. Raises Invalid at the first byte or line that breaks a rule."""
    position = Position()
    for line in text_lines(stream, position):
        if line.strip():
            if position.row > MAX_ROWS:
                raise refusals.too_many_rows(position.row)
            yield JsonRecord(position.row, _object(position.row, line))
        position.row += 1


def _object(row: int, line: str) -> dict[str, Any]:
    hint = f"the line starts with {refusals.quoted(line[:100])}"
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise refusals.refuse(
            "jsonl_malformed",
            row=row,
            cause=f"The line is not valid JSON ({_reason(error)}); {hint}.",
            fix="Write each example as one JSON object on one line.",
        ) from error
    if not isinstance(value, dict):
        raise refusals.refuse(
            "jsonl_not_object",
            row=row,
            cause=f"Every line must be a JSON object; {hint}.",
            fix=f"Write each example on one line like {_CONVERSATION}.",
        )
    return value


def _reason(error: orjson.JSONDecodeError) -> str:
    return f"{error.msg} at character {error.pos + 1}" if "character" not in error.msg else error.msg


def conversation(record: JsonRecord) -> list[Message]:
    """The messages of a record, in the shape that chat models are trained on.

    Raises Invalid if they are not a list of messages with text, system only first, the assistant last.
    Empty contents pass: they are a problem of one row, not of the file's shape.
    """
    row, given = record.row, record.values["messages"]
    for key in ("tools", "functions"):
        if record.values.get(key):
            _malformed(row, key, "Tool definitions are not supported.", "Remove them, or leave this example out.")
    if not isinstance(given, list) or not given:
        _malformed(row, "messages", "This is not a list of messages.", f"Write {_CONVERSATION}.")
    messages = [_message(row, index, message) for index, message in enumerate(given)]
    if messages[-1]["role"] != "assistant":
        _malformed(
            row,
            f"messages[{len(messages) - 1}].role",
            "The last message is not the assistant's, so there is nothing to learn.",
            "End the conversation with the answer that you want.",
        )
    if not any(message["role"] == "user" for message in messages):
        _malformed(row, "messages", "No message is the user's.", "Add the question before the answer.")
    return messages


def _message(row: int, index: int, given: object) -> Message:
    place = f"messages[{index}]"
    if not isinstance(given, dict):
        _malformed(row, place, "A message must be an object with role and content.", f"Write {_CONVERSATION}.")
    role: Any = given.get("role")
    content = given.get("content")
    # OpenAI's newer name for the same thing
    role = "system" if role == "developer" else role
    if role not in _ROLES:
        _malformed(
            row,
            f"{place}.role",
            f"The role {refusals.quoted(str(role))} is not known.",
            "Use system, user or assistant.",
        )
    if role == "system" and index > 0:
        _malformed(row, f"{place}.role", "A system message may only come first.", "Move it to the beginning.")
    if not isinstance(content, str):
        _malformed(row, f"{place}.content", "The content is not a text.", "Write the content as one string.")
    if given.get("weight", 1) != 1:
        _malformed(
            row,
            f"{place}.weight",
            "Weights other than 1 are not supported: every answer is learned.",
            "Remove the weight, or end the conversation before this answer.",
        )
    for key in ("tool_calls", "function_call"):
        if given.get(key):
            _malformed(row, f"{place}.{key}", "Tool calls are not supported.", "Leave this example out.")
    return Message(role=role, content=content)


def _malformed(row: int, column: str, cause: str, fix: str) -> NoReturn:
    raise refusals.refuse("messages_malformed", row=row, column=column, cause=cause, fix=fix)
