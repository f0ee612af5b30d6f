"""From what an answer is to be made to a grammar, in the engine's kind of Lark.

An answer is JSON by a schema, any text that is no call, or calls of functions as the base's template writes them
(`CallSyntax`). What marks a call may be a special token of the tokenizer, which no text can spell, or plain letters.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from core.inference.types import CallShape, Constraint, JsonShape
from worker.training.data.tool_calls import CallSyntax

# What may stand between two things of JSON: nothing, a blank, or a new line and its indent. More than that would let a
# model that likes blanks say nothing else.
_BLANKS: Final = r" |\r?\n[ \t]{0,32}"
# All but \u: the characters themselves say as much, and in code a name could be said that must not be there.
_ESCAPES: Final = 'nrbtf\\"'
MAX_CALLS: Final = 16
_HEADER: Final = "%llguidance {}\n"

Pieces = Callable[[str], list[str | int]]
"""A text as its special tokens, by id, and what stands between them."""


def grammar_of(
    constraint: Constraint, syntax: CallSyntax | None, pieces_of: Pieces, *, may_call_several: bool = True
) -> str:
    lines = [f"shape: {_json_of(constraint.shape)}"] if constraint.shape else []
    if not constraint.calls:
        return _HEADER + "\n".join(["start: shape" if constraint.shape else "start: /(?s:.*)/", *lines])
    if syntax is None:
        raise AssertionError("tools are refused for a template without a syntax of calls")
    lines += list(_rules_of_calls(constraint.calls, syntax, pieces_of, MAX_CALLS if may_call_several else 1))
    if constraint.must_call:
        start = "calls"
    elif constraint.shape:
        start = "calls | shape"
    else:
        start, *text = _text_or_calls(syntax, pieces_of)
        lines += text
    return _HEADER + "\n".join([f"start: {start}", *lines])


def schema_of(shape: JsonShape) -> dict[str, Any]:
    """The schema, with how the engine is to read it in the place of whatever the sender said about that."""
    schema: dict[str, Any] = json.loads(shape.json_schema)
    options = {
        "whitespace_pattern": _BLANKS,
        "json_allowed_escapes": _ESCAPES,
        "lenient": not shape.is_strict,
        "coerce_one_of": not shape.is_strict,
    }
    return schema | {"x-guidance": options}


def without_blanks(grammar: str) -> str:
    """The same, with no blanks between the parts of JSON: for llguidance 1.7, which lets a model write any number."""
    blanks = json.dumps({"whitespace_pattern": _BLANKS})[1:-1]
    return grammar.replace(blanks, '"whitespace_flexible": false')


def _json_of(shape: JsonShape) -> str:
    return f"%json {json.dumps(schema_of(shape))}"


def _rules_of_calls(
    calls: tuple[CallShape, ...], syntax: CallSyntax, pieces_of: Pieces, max_calls: int
) -> Iterator[str]:
    opening, closing = _spelled(syntax.opening, pieces_of), _spelled(syntax.closing, pieces_of)
    yield "calls: " + " ".join([*opening, "after_opening"])
    if syntax.is_list:
        yield 'after_opening: BLANK? "[" call' + _up_to(max_calls - 1, '", " call') + ' "]"' + _joined(closing)
    elif opening:
        # as the template has it, one after the other
        more = " ".join(["BLANK?", *opening, "one"])
        yield "after_opening: one" + _up_to(max_calls - 1, more)
        yield "one: BLANK? call" + (f" BLANK?{_joined(closing)}" if closing else "")
    else:
        yield "after_opening: call" + _joined(closing)
    yield "call: " + " | ".join(f"call_{at}" for at in range(len(calls)))
    name_key, arguments_key = json.dumps(syntax.name_key), json.dumps(syntax.arguments_key)
    for at, call in enumerate(calls):
        begin = f"{{{name_key}: {json.dumps(call.name)}, {arguments_key}: "
        yield f'call_{at}: {_literal(begin)} {_json_of(call)} "}}"'
    yield r"BLANK: /[ \n]{1,2}/"


def _text_or_calls(syntax: CallSyntax, pieces_of: Pieces) -> list[str]:
    """The start, and the rules that it needs."""
    opening = syntax.opening
    if not opening:
        # nothing marks a call but that the answer begins with it
        return ["calls | text |", r"text: /\s*[^{\s](?s:.*)/"]
    without = f"/(?s:.*)/ & ~/(?s:.*){_escaped(opening)}(?s:.*)/"
    first = pieces_of(opening)[0]
    if isinstance(first, int):
        return ["TEXT? calls | TEXT?", f"TEXT: {without}"]
    rest = " ".join([*_spelled(opening.removeprefix(first), pieces_of), "after_opening"])
    return [f"head {rest} | TEXT?", f"TEXT: {without}", f"head[lazy]: /(?s:.*)/ {_literal(first)}"]


def _up_to(most: int, more: str) -> str:
    return f" ({more}){{0,{most}}}" if most else ""


def _spelled(text: str, pieces_of: Pieces) -> list[str]:
    return [f"<[{piece}]>" if isinstance(piece, int) else _literal(piece) for piece in pieces_of(text)]


def _joined(pieces: list[str]) -> str:
    return "".join(f" {piece}" for piece in pieces)


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _escaped(text: str) -> str:
    """In a regular expression between slashes."""
    return re.escape(text).replace("/", r"\/").replace("\n", r"\n")
