import re
from functools import lru_cache
from pathlib import Path

from sqlalchemy import text

from core.db.session import SYSTEM, Database

_VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"
_NAMED = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


def schema_revision(database: Database) -> str | None:
    """The migration the database stands at. Raises SQLAlchemy's `OperationalError` if it does not answer."""
    with database.session(SYSTEM) as session:
        if session.scalar(text("select to_regclass('alembic_version')")) is None:
            return None
        found = session.scalar(text("select version_num from alembic_version"))
    return None if found is None else str(found)


@lru_cache(maxsize=1)
def newest_revision() -> str:
    """The migration that this code is written for: the one that no other comes after, whatever the files are called.

    By the files' text: alembic is slow to import, and the api does without it.
    """
    made: set[str] = set()
    followed: set[str] = set()
    for path in _VERSIONS.glob("[0-9]*_*.py"):
        for is_before, revision in _NAMED.findall(path.read_text(encoding="utf-8")):
            (followed if is_before else made).add(revision)
    (newest,) = made - followed
    return newest
