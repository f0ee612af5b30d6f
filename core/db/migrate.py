"""Migrations from Python: no alembic.ini, no working directory, the same call for the cli, the stack and the tests.

The owner's URL makes tables. The application's role (from `app_url`) owns nothing and is bound by row-level security;
it is created here if it is missing, for which the owner needs CREATEROLE.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from core.errors import Conflict, Invalid

_MIGRATIONS = Path(__file__).parents[2] / "migrations"
# any number, the same for all who migrate: two at once would make tables twice
_LOCK = 7_140_233_186


def upgrade(owner_url: str, app_url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`, and let the application's role use it."""
    app = make_url(app_url)
    if not app.username:
        raise Invalid("DATABASE_URL names no role for the application.", code="app_role_missing")
    with _locked(owner_url) as connection:
        _ensure_app_role(connection, app.username, app.password)
        _grant_later_tables(connection, app.username)
        command.upgrade(_config(connection), revision)
        _grant(connection, app.username)


def downgrade(owner_url: str, revision: str = "base") -> None:
    with _locked(owner_url) as connection:
        command.downgrade(_config(connection), revision)


@contextmanager
def _locked(owner_url: str) -> Iterator[Connection]:
    engine = create_engine(owner_url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    with engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _ensure_app_role(connection: Connection, name: str, password: str | None) -> None:
    found = connection.execute(
        text("select rolsuper or rolbypassrls from pg_roles where rolname = :name"), {"name": name}
    ).scalar_one_or_none()
    if found is None:
        _run(
            connection,
            sql.SQL("create role {} login nosuperuser nocreatedb nocreaterole nobypassrls password {}").format(
                sql.Identifier(name), sql.Literal(password)
            ),
        )
    elif found:
        raise Conflict(
            f"The role {name} is a superuser or bypasses row-level security, so it would see every workspace's rows. "
            "Give the application a role of its own in DATABASE_URL.",
            code="app_role_unsafe",
        )


def _grant_later_tables(connection: Connection, name: str) -> None:
    role = sql.Identifier(name)
    for statement in (
        "grant usage on schema public to {}",
        "alter default privileges in schema public grant select, insert, update, delete on tables to {}",
        "alter default privileges in schema public grant usage, select on sequences to {}",
    ):
        _run(connection, sql.SQL(statement).format(role))


def _grant(connection: Connection, name: str) -> None:
    role = sql.Identifier(name)
    for statement in (
        "grant select, insert, update, delete on all tables in schema public to {}",
        "grant usage, select on all sequences in schema public to {}",
        "revoke insert, update, delete on alembic_version from {}",
    ):
        _run(connection, sql.SQL(statement).format(role))


def _run(connection: Connection, statement: sql.Composable) -> None:
    connection.exec_driver_sql(statement.as_string().replace("%", "%%"))
