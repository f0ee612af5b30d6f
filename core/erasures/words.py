"""The words that tell a person: how they are checked, found in what is stored, and taken out."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from core.errors import Invalid

MAX_TERMS = 10
MIN_TERM_CHARS, MAX_TERM_CHARS = 3, 200
ERASED = "[erased]"
# of a message or a change, these say how it is built and not what anybody said, as long as they say it in code words:
# elsewhere, as in the parameters of a function, somebody may have given a field that name
_STRUCTURE = frozenset({"role", "type", "severity", "code", "finding", "strategy"})
_CODE_WORD = re.compile(r"[a-z_]{1,60}")


def checked(terms: Sequence[str]) -> list[str]:
    """Without blanks around them, each once whatever the case. Raises `Invalid`."""
    found = {term.lower(): term for term in (" ".join(given.split()) for given in terms)}
    if not 1 <= len(terms) <= MAX_TERMS:
        raise Invalid(f"Name 1 to {MAX_TERMS} words to look for.", code="invalid_terms", param="terms")
    if any(not MIN_TERM_CHARS <= len(term) <= MAX_TERM_CHARS or not term.isprintable() for term in found.values()):
        raise Invalid(
            f"Each name, address or number to look for has {MIN_TERM_CHARS} to {MAX_TERM_CHARS} characters: shorter "
            "ones are in too many rows that are about somebody else.",
            code="invalid_terms",
            param="terms",
        )
    return list(found.values())


def spellings(term: str) -> list[str]:
    r"""A term as it is, and as JSON has it: once escaped, twice in the arguments of a call, and with `\u` escapes."""
    once, ascii_once = _escaped(term), json.dumps(term)[1:-1]
    return list(dict.fromkeys([term, once, _escaped(once), ascii_once, _escaped(ascii_once)]))


def hold(terms: Sequence[str], value: object) -> bool:
    """Whether somebody said one of them anywhere in a JSON value, in any case. Names of fields do not count."""
    wanted = [spelling.lower() for term in terms for spelling in spellings(term)]
    return any(_says(wanted, text) for text in _said(value))


def places(terms: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Where a text has one of them, each from its first character to the one after its last."""
    longest_first = sorted((spelling for term in terms for spelling in spellings(term)), key=len, reverse=True)
    wanted = "|".join(map(re.escape, longest_first))
    # from every character on, for one may begin within another
    return [found.span(1) for found in re.finditer(f"(?=({wanted}))", text, re.IGNORECASE)]


def blanked(terms: Sequence[str], value: Any) -> Any:  # noqa: ANN401 - JSON
    """The value with every text replaced that holds one of them; its shape stays."""
    wanted = [spelling.lower() for term in terms for spelling in spellings(term)]

    def blank(part: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(part, str):
            return ERASED if _says(wanted, part) else part
        if isinstance(part, list):
            return [blank(one) for one in part]
        if isinstance(part, dict):
            return {name: one if _is_structure(name, one) else blank(one) for name, one in part.items()}
        return part

    return blank(value)


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _is_structure(name: str, value: object) -> bool:
    return name in _STRUCTURE and isinstance(value, str) and _CODE_WORD.fullmatch(value) is not None


def _says(wanted: Sequence[str], text: str) -> bool:
    lowered = text.lower()
    return any(spelling in lowered for spelling in wanted)


def _said(value: object) -> Iterator[str]:
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            pending += [one for name, one in part.items() if not _is_structure(name, one)]
        elif isinstance(part, list):
            pending += part
