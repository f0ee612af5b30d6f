from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from core.db import migrate
from core.db.health import newest_revision
from core.db.session import Database, Scope
from core.errors import Conflict
from core.stack.servers import ServerUrls
from core.tables import metadata

pytestmark = pytest.mark.stack

EVERY_OBJECT = """
    select 'table ' || tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'
    union all select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype = 'e'
"""

# of rows whose workspace and job nobody needs
NO_REFERENCES = """
    do $$ declare found record; begin
        for found in select conrelid::regclass as owner, conname from pg_constraint
            where contype = 'f' and conrelid in ('dataset_versions'::regclass, 'rows'::regclass)
        loop execute format('alter table %s drop constraint %I', found.owner, found.conname); end loop;
    end $$
"""


@pytest.fixture
def empty_urls(servers: ServerUrls) -> Iterator[tuple[str, str]]:
    """A database of its own, as its owner and as the application's role."""
    with _server(servers) as server:
        server.execute("create database migrating")
    owner, app = (make_url(url).set(database="migrating") for url in (servers.database_owner_url, servers.database_url))
    yield owner.render_as_string(hide_password=False), app.render_as_string(hide_password=False)
    with _server(servers) as server:
        server.execute("drop database migrating with (force)")


def test_the_chain_goes_up_down_to_nothing_and_up_again(empty_urls: tuple[str, str]) -> None:
    owner_url, app_url = empty_urls
    migrate.upgrade(owner_url, app_url)
    migrate.downgrade(owner_url)
    with _engine(owner_url) as engine, engine.connect() as connection:
        assert connection.scalars(text(EVERY_OBJECT)).all() == []
    migrate.upgrade(owner_url, app_url)
    with _engine(owner_url) as engine, engine.connect() as connection:
        assert (
            connection.scalar(text("select version_num from alembic_version")) == newest_revision() == _revisions()[-1]
        )


def test_each_step_goes_up_down_and_up(empty_urls: tuple[str, str]) -> None:
    owner_url, app_url = empty_urls
    before = "base"
    for revision in _revisions():
        migrate.upgrade(owner_url, app_url, revision)
        migrate.downgrade(owner_url, before)
        migrate.upgrade(owner_url, app_url, revision)
        before = revision


def test_migrating_twice_changes_nothing(empty_urls: tuple[str, str]) -> None:
    migrate.upgrade(*empty_urls)
    migrate.upgrade(*empty_urls)


def test_the_tables_are_those_of_the_models(owner_engine: Engine) -> None:
    with owner_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_role_that_row_level_security_does_not_bind_is_refused(servers: ServerUrls, owner_engine: Engine) -> None:
    superuser_url = make_url(servers.database_url).set(username="postgres").render_as_string(hide_password=False)
    with pytest.raises(Conflict, match="superuser"):
        migrate.upgrade(servers.database_owner_url, superuser_url)


class TestRowLevelSecurity:
    def test_it_is_forced_with_both_policies_on_every_table_of_workspaces(self, owner_engine: Engine) -> None:
        with owner_engine.connect() as connection:
            owned = set(
                connection.scalars(
                    text(
                        "select table_name from information_schema.columns "
                        "where table_schema = 'public' and column_name = 'workspace_id'"
                    )
                )
            )
            forced = set(
                connection.scalars(
                    text(
                        "select c.relname from pg_class c where relrowsecurity and relforcerowsecurity and 2 = "
                        "(select count(*) from pg_policies p where p.tablename = c.relname and p.policyname in "
                        "('workspace_isolation', 'system_scope') and qual is not null and with_check is not null)"
                    )
                )
            )
        assert owned
        assert owned - forced == set()

    def test_without_a_scope_the_application_sees_no_row(
        self, database: Database, workspace_id: str, as_admin: dict[str, str]
    ) -> None:
        with database.engine.connect() as connection:
            assert connection.scalar(text("select count(*) from memberships")) == 0
            assert connection.scalar(text("select count(*) from api_keys")) == 0
        with database.session(Scope()) as session:
            assert session.scalar(text("select count(*) from memberships")) == 0

    def test_the_application_owns_nothing_and_bypasses_nothing(self, database: Database) -> None:
        with database.engine.connect() as connection:
            role = connection.execute(
                text("select rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = current_user")
            ).one()
            owned = connection.scalars(text("select tablename from pg_tables where tableowner = current_user")).all()
        assert tuple(role) == (False, False, False)
        assert owned == []

    @pytest.mark.parametrize(
        "statement",
        ["drop table memberships", "alter table memberships disable row level security", "truncate memberships",
         "update alembic_version set version_num = '0'"],
    )  # fmt: skip
    def test_the_application_cannot_take_the_guard_away(self, database: Database, statement: str) -> None:
        with database.engine.connect() as connection, pytest.raises(ProgrammingError):
            connection.execute(text(statement))


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()


@contextmanager
def _server(servers: ServerUrls) -> Iterator[psycopg.Connection]:
    url = make_url(servers.database_owner_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


def _revisions() -> list[str]:
    scripts = ScriptDirectory(str(migrate._MIGRATIONS)).walk_revisions()
    return [script.revision for script in reversed(list(scripts))]


class TestRowKinds:
    """0006: rows of three kinds."""

    VERSION = (
        "insert into dataset_versions (id, workspace_id, dataset_id, number, status, job_id{names}) "
        "values ('{id}', 'ws_1', 'ds_1', {number}, 'ready', 'job_1'{values})"
    )
    ROW = (
        "insert into rows (version_id, number, workspace_id, split, messages) values ('{id}', 1, 'ws_1', 'train', '[]')"
    )

    def test_what_was_there_is_conversations_and_going_back_keeps_them(self, empty_urls: tuple[str, str]) -> None:
        owner_url, app_url = empty_urls
        migrate.upgrade(owner_url, app_url, "0005")
        self._run(owner_url, self._row("dsv_old", 1))
        migrate.upgrade(owner_url, app_url, "0006")
        assert self._run(owner_url, [], "select kind from dataset_versions") == [("chat",)]
        self._run(owner_url, self._row("dsv_new", 2, names=", kind", values=", 'text'"))
        migrate.downgrade(owner_url, "0005")
        assert self._run(owner_url, [], "select id, status from dataset_versions order by id") == [
            ("dsv_new", "failed"),
            ("dsv_old", "ready"),
        ]
        assert self._run(owner_url, [], "select version_id from rows") == [("dsv_old",)]

    def _row(self, version_id: str, number: int, *, names: str = "", values: str = "") -> list[str]:
        return [
            self.VERSION.format(id=version_id, number=number, names=names, values=values),
            self.ROW.format(id=version_id),
        ]

    @staticmethod
    def _run(url: str, statements: list[str], query: str = "select 1") -> list[tuple[object, ...]]:
        """As the owner, in every workspace."""
        with _engine(url) as engine, engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            connection.execute(text(NO_REFERENCES))
            for statement in statements:
                connection.execute(text(statement))
            return [tuple(row) for row in connection.execute(text(query))]
