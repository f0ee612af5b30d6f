"""How the assistant's calls of functions are written by one chat template, and read back from what a model says.

Nothing about it is known beforehand: the template writes a call whose name and arguments we know, and what stands
around them is the syntax. Qwen's templates put tags around an object, Mistral's a token before a list of them, Llama's
nothing at all. A template whose own calls cannot be read back has no syntax, and tools are refused for it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import Invalid

_NAME, _ARGUMENTS = "find_tide", {"port": "Ostend", "days": [1, 2], "exact": True}
_OTHER_NAME, _OTHER_ARGUMENTS = "book_berth", {"length_m": 12.5, "crew": {"skipper": None}}
_JSON = json.JSONDecoder()
# Qwen3 begins a turn with it, and chat leaves it out of what it answers
_NO_REASONING = re.compile(r"\A<think>\s*</think>\s*")

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CallSyntax:
    """`opening` and `closing` stand around an object, or around a list of them where `is_list`."""

    opening: str
    closing: str
    is_list: bool
    name_key: str
    arguments_key: str

    def read(self, text: str) -> list[Call]:
        """The calls that all of the text consists of; none where something else stands in it, or a call is not whole.

        The closing after the last may be missing: a model that ends its answer there has said all.
        """
        found: list[Call] = []
        rest = text.strip()
        while rest:
            if not rest.startswith(self.opening):
                return []
            rest = rest.removeprefix(self.opening).lstrip()
            try:
                value, end = _JSON.raw_decode(rest)
            except (ValueError, RecursionError):
                return []
            calls = self._calls(value)
            rest = rest[end:].lstrip()
            if not calls or (rest and not rest.startswith(self.closing)):
                return []
            rest = rest.removeprefix(self.closing).lstrip()
            found += calls
        return found

    def _calls(self, value: object) -> list[Call]:
        if self.is_list is not isinstance(value, list):
            return []
        found = []
        for one in value if isinstance(value, list) else [value]:
            name = one.get(self.name_key) if isinstance(one, dict) else None
            arguments = one.get(self.arguments_key) if isinstance(one, dict) else None
            if not isinstance(name, str) or not isinstance(arguments, dict):
                return []
            found.append(Call(name, arguments))
        return found


def learned_syntax(written: Callable[[Messages], str]) -> CallSyntax | None:
    """From what a template writes as the assistant's last turn; None if it cannot be told from that."""
    call, other = Call(_NAME, _ARGUMENTS), Call(_OTHER_NAME, _OTHER_ARGUMENTS)
    try:
        turn = _NO_REASONING.sub("", written(_conversation(call)).strip())
    except Invalid:
        return None
    syntax = next(_found_in(turn, call), None)
    if syntax is None or syntax.read(turn) != [call]:
        return None
    try:
        both = _NO_REASONING.sub("", written(_conversation(call, other)).strip())
    except Invalid:  # one call at a time
        return syntax
    return syntax if syntax.read(both) == [call, other] else None


def _found_in(turn: str, call: Call) -> Iterator[CallSyntax]:
    for start in (at for at, letter in enumerate(turn) if letter in "{["):
        try:
            value, end = _JSON.raw_decode(turn, start)
        except ValueError:
            continue
        is_list = isinstance(value, list)
        one = value[0] if is_list and value else value
        if not isinstance(one, dict):
            continue
        name_key = next((key for key, held in one.items() if held == call.name), None)
        arguments_key = next((key for key, held in one.items() if held == call.arguments), None)
        if name_key is not None and arguments_key is not None:
            yield CallSyntax(turn[:start].strip(), turn[end:].strip(), is_list, name_key, arguments_key)


def _conversation(*calls: Call) -> Messages:
    written = [
        {
            "id": f"callprob{at}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for at, call in enumerate(calls)
    ]
    return [
        {"role": "user", "content": "How high is the tide in Ostend?"},
        {"role": "assistant", "content": "", "tool_calls": written},
    ]
