from sqlalchemy import text

from core.db.session import SYSTEM, Database


def schema_revision(database: Database) -> str | None:
    """The migration the database stands at. Raises SQLAlchemy's `OperationalError` if it does not answer."""
    with database.session(SYSTEM) as session:
        if session.scalar(text("select to_regclass('alembic_version')")) is None:
            return None
        found = session.scalar(text("select version_num from alembic_version"))
    return None if found is None else str(found)
