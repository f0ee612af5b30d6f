"""Words in SQL: by what a value is written down as. What somebody said in it, `core.erasures.words` knows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_
from sqlalchemy.orm import InstrumentedAttribute

from core.erasures.words import spellings


def may_hold(terms: Sequence[str], *columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Whether one of the columns has one of the terms in it; of JSON, also in a name or a code."""
    return holds_any(written(terms), *columns)


def written(terms: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(spelling for term in terms for spelling in spellings(term)))


def holds_any(texts: Sequence[str], *columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """In any case."""
    return or_(*(cast(column, Text).icontains(text, autoescape=True) for column in columns for text in texts))
