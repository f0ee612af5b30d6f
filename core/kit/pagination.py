"""Keyset pages over time-ordered ids: `after` is the last id seen, order is newest first unless said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PageRequest:
    after: str | None = None
    limit: int = 20
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    has_more: bool

    @classmethod
    def cut(cls, found: Sequence[T], limit: int) -> "Page[T]":
        """A page from a query that asked for `limit + 1` rows."""
        return cls(items=found[:limit], has_more=len(found) > limit)
