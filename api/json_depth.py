"""How deep a JSON body is nested, found without parsing it.

Whoever walks a parsed body (validation, the database, a log) does so by recursion; a parser of JSON alone goes down a
thousand levels before it gives up.
"""

import re

from core.errors import Invalid

MAX_DEPTH = 64
# matches wherever it begins, at the end of a body that was cut off too: else each quote in it would be tried in turn
_STRING = re.compile(rb'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_depth(body: bytes) -> None:
    """Raises `Invalid` for a body that is nested deeper than `MAX_DEPTH`. What is no JSON is for the parser to say."""
    # most bodies have fewer brackets than they may have levels
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        shorter = brackets.replace(b"[]", b".").replace(b"{}", b".").translate(None, b".")
        if len(shorter) == len(brackets):
            break
        brackets = shorter
    if brackets.count(b"[") + brackets.count(b"{") > MAX_DEPTH or b"[]" in brackets or b"{}" in brackets:
        raise Invalid(f"The body is nested deeper than {MAX_DEPTH} levels.", code="json_too_deep")
