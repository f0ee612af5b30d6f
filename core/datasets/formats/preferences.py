"""Preferences: a prompt with the answer that was preferred and the one that was not, in the shapes in use.

OpenAI's `{"input": {"messages", "tools"}, "preferred_output", "non_preferred_output"}`, and
`{"prompt", "chosen", "rejected"}` with texts or lists of messages, where both answers may repeat the prompt, and then
need none beside them.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from core.datasets.formats import refusals
from core.datasets.formats.conversations import malformed, messages_of, tools_of
from core.datasets.types import Message, RowContent

PROMPT_NAMES: Final = ("prompt", "question", "instruction")
_OPENAI: Final = '{"input": {"messages": […]}, "preferred_output": […], "non_preferred_output": […]}'
_COMMON: Final = '{"prompt": "…", "chosen": "…", "rejected": "…"}'


def is_preference(values: Mapping[str, Any]) -> bool:
    """Whether a line means to be one: it names both answers, or OpenAI's name of one."""
    return "preferred_output" in values or ("chosen" in values and "rejected" in values)


def are_columns(names: Sequence[str]) -> bool:
    """Whether a table with these columns holds preferences."""
    return is_preference(dict.fromkeys(names)) and any(name in names for name in PROMPT_NAMES)


def preference(row: int, values: dict[str, Any]) -> RowContent:
    """Raises Invalid for a line whose prompt does not end with a question or whose answers are not one answer each.

    Empty answers pass: they are a problem of one row, not of the file's shape.
    """
    return _openai(row, values) if "preferred_output" in values else _common(row, values)


def _openai(row: int, values: dict[str, Any]) -> RowContent:
    given = values.get("input")
    if not isinstance(given, dict) or "messages" not in given:
        raise _refuse(row, "input", "The prompt is missing.", f"Write {_OPENAI}.")
    prompt = messages_of(row, given["messages"], "input.messages")
    _check_prompt(row, prompt, "input.messages")
    return RowContent(
        messages=prompt,
        tools=tools_of(row, given, place="input.tools"),
        chosen=_answer(row, messages_of(row, values["preferred_output"], "preferred_output"), "preferred_output"),
        rejected=_answer(
            row, messages_of(row, values.get("non_preferred_output"), "non_preferred_output"), "non_preferred_output"
        ),
    )


def _common(row: int, values: dict[str, Any]) -> RowContent:
    sides = {name: _messages(row, values[name], name, role="assistant") for name in ("chosen", "rejected")}
    name = next((name for name in PROMPT_NAMES if values.get(name) is not None), None)
    if name is None:
        prompt = _shared(*sides.values())
    else:
        prompt = _messages(row, values[name], name, role="user")
        if isinstance(values.get("system"), str) and values["system"].strip() and prompt[0]["role"] != "system":
            prompt = [Message(role="system", content=values["system"]), *prompt]
    if not prompt:
        raise _refuse(row, "prompt", "The prompt is missing.", f"Write {_COMMON}.")
    _check_prompt(row, prompt, "prompt")
    chosen, rejected = (_answer(row, _without(prompt, side), place) for place, side in sides.items())
    return RowContent(messages=prompt, tools=tools_of(row, values), chosen=chosen, rejected=rejected)


def _messages(row: int, given: object, place: str, *, role: Any) -> list[Message]:  # noqa: ANN401 - a literal
    """A text is one message of `role`."""
    if isinstance(given, str):
        return [Message(role=role, content=given)]
    return messages_of(row, given, place)


def _shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> list[Message]:
    """What both sides begin with, if they carry the prompt."""
    pairs = zip(chosen[:-1], rejected[:-1], strict=False)
    return [message for message, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]


def _without(prompt: Sequence[Message], side: list[Message]) -> list[Message]:
    """The answer of a side, which may repeat the prompt, with or without its system message."""
    for repeated in (list(prompt), [message for message in prompt if message["role"] != "system"]):
        if repeated and side[: len(repeated)] == repeated:
            return side[len(repeated) :]
    return side


def _check_prompt(row: int, prompt: Sequence[Message], place: str) -> None:
    if prompt[-1]["role"] not in {"user", "tool"}:
        malformed(
            row,
            f"{place}[{len(prompt) - 1}].role",
            "The prompt does not end with the user's words, so there is nothing to answer.",
            "End it with the question that both answers are for.",
        )


def _answer(row: int, given: list[Message], place: str) -> list[Message]:
    if len(given) != 1 or given[0]["role"] != "assistant":
        malformed(
            row,
            place,
            "An answer must be one message of the assistant.",
            'Write [{"role": "assistant", "content": "…"}], and what was said before into the prompt.',
        )
    # an answer is compared whole
    given[0].pop("weight", None)
    return given


def _refuse(row: int, column: str, cause: str, fix: str) -> Exception:
    return refusals.refuse("preference_malformed", row=row, column=column, cause=cause, fix=fix)
