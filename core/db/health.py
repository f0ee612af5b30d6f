from pathlib import Path

from sqlalchemy import text

from core.db.session import SYSTEM, Database

_VERSIONS = Path(__file__).parents[2] / "migrations" / "versions"


def schema_revision(database: Database) -> str | None:
    """The migration the database stands at. Raises SQLAlchemy's `OperationalError` if it does not answer."""
    with database.session(SYSTEM) as session:
        if session.scalar(text("select to_regclass('alembic_version')")) is None:
            return None
        found = session.scalar(text("select version_num from alembic_version"))
    return None if found is None else str(found)


def newest_revision() -> str:
    """The migration that this code is written for, by the files' names: alembic is slow to import, and the api does."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))
