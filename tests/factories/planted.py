"""Secrets that a test plants, and where to look for them afterwards."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine, text

from core.kit.logs import JsonFormatter

# nobody else says this word, so whatever holds it holds the secret
MARK = "Pl4ntedS3cr3t"


@dataclass(slots=True)
class Planted:
    """Every one is new, so that a find says which it was."""

    by_place: dict[str, str] = field(default_factory=dict)

    def secret(self, place: str) -> str:
        return self.by_place.setdefault(place, f"{MARK}{len(self.by_place):03d}x0000000000")

    def found_in(self, where: str) -> list[str]:
        return [place for place, secret in self.by_place.items() if secret in where]


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """All that every logger says in this block, as a process writes it."""
    kept = io.StringIO()
    handler = logging.StreamHandler(kept)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # as each process of ours has it
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        yield kept
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def kept_in(engine: Engine, *tables: str) -> str:
    """All rows of some tables, as text."""
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        rows = [
            row for table in tables for row in connection.scalars(text(f"select to_jsonb({table})::text from {table}"))
        ]
    return "\n".join(rows)
