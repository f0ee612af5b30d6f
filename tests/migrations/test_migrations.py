import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from core.audit import service as audit
from core.datasets.types import Health
from core.db import migrate
from core.db.health import newest_revision
from core.db.session import SYSTEM, Database, Scope
from core.errors import Conflict
from core.stack.servers import ServerUrls
from core.tables import metadata
from core.workspaces.principal import Principal
from core.workspaces.roles import Role

pytestmark = pytest.mark.stack

EVERY_OBJECT = """
    select 'table ' || tablename from pg_tables where schemaname = 'public' and tablename <> 'alembic_version'
    union all select 'function ' || proname from pg_proc where pronamespace = 'public'::regnamespace
    union all select 'type ' || typname from pg_type where typnamespace = 'public'::regnamespace and typtype = 'e'
"""

WORKSPACES = ("ws_1", "ws_2")
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
        # without `force`: that asks for a right over the server's own vacuum, which an ordinary drop waits for
        server.execute("drop database migrating")


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
    try:
        yield engine
    finally:
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


class TestColumnMappings:
    """0017: mappings of more than two columns."""

    VERSION = (
        "insert into dataset_versions (id, workspace_id, dataset_id, number, status, job_id, reading_id, mapping) "
        "values ('{id}', 'ws_1', 'ds_1', {number}, 'ready', 'job_1', '{id}', '{mapping}')"
    )
    MAPPINGS = "select id, mapping from dataset_versions order by id"

    def test_say_only_what_they_say_and_going_back_keeps_what_was_known(self, empty_urls: tuple[str, str]) -> None:
        owner_url, app_url = empty_urls
        run = TestRowKinds._run
        migrate.upgrade(owner_url, app_url, "0016")
        old = {"question": "q", "answer": "a", "system": None}
        run(owner_url, [self.VERSION.format(id="dsv_1", number=1, mapping=json.dumps(old))])
        migrate.upgrade(owner_url, app_url, "0017")
        assert run(owner_url, [], self.MAPPINGS) == [("dsv_1", {"question": "q", "answer": "a"})]
        run(owner_url, [self.VERSION.format(id="dsv_2", number=2, mapping='{"text": "t"}')])
        migrate.downgrade(owner_url, "0016")
        assert run(owner_url, [], self.MAPPINGS) == [("dsv_1", old), ("dsv_2", None)]


class TestAuditChain:
    """0013: the audit log as a chain."""

    EVENT = (
        "insert into audit_events (id, workspace_id, actor_user_id, actor_name, action, target_id, details) "
        "values ('{id}', '{workspace}', 'user_1', 'Zoë', 'thing.made', 't', '{details}')"
    )
    DETAILS = '{"n": 1.0, "big": 1e22, "tiny": 1e-7, "deep": [{"b": "ü", "a": null}]}'

    def test_what_was_there_is_chained_and_going_back_keeps_it(self, empty_urls: tuple[str, str]) -> None:
        owner_url, app_url = empty_urls
        migrate.upgrade(owner_url, app_url, "0012")
        self._fill(owner_url)
        migrate.upgrade(owner_url, app_url)
        assert self._verified(app_url) == {"ws_1": (None, 1500), "ws_2": (None, 2), "installation": (None, 0)}
        with pytest.raises(DBAPIError, match="append-only"):
            TestRowKinds._run(owner_url, ["delete from audit_events"])
        # one more goes on where the migration ended
        self._record(app_url, "ws_2")
        assert self._verified(app_url)["ws_2"] == (None, 3)
        migrate.downgrade(owner_url, "0012")
        assert TestRowKinds._run(owner_url, [], "select count(*) from audit_events") == [(1503,)]
        with pytest.raises(DBAPIError, match="append-only"):
            TestRowKinds._run(owner_url, ["delete from audit_events"])
        migrate.upgrade(owner_url, app_url)
        assert self._verified(app_url)["ws_2"] == (None, 3)

    def _fill(self, owner_url: str) -> None:
        insert = "insert into workspaces (id, name, slug) values ('{0}', '{0}', '{0}')"
        workspaces = [insert.format(workspace_id) for workspace_id in WORKSPACES]
        events = [
            self.EVENT.format(id=f"aud_{workspace}_{n:05}", workspace=workspace, details=self.DETAILS)
            for workspace, num in (("ws_1", 1500), ("ws_2", 2))
            for n in range(num)
        ]
        with _engine(owner_url) as engine, engine.begin() as connection:
            connection.execute(text("select set_config('app.scope', 'system', true)"))
            for statement in (*workspaces, *events):
                connection.exec_driver_sql(statement)

    @staticmethod
    def _verified(app_url: str) -> dict[str, tuple[object, int]]:
        database = Database(app_url)
        try:
            with database.session(SYSTEM) as session:
                found = {chain: audit.verify(session, chain_id=chain) for chain in (*WORKSPACES, "installation")}
        finally:
            database.dispose()
        return {chain: (verdict.first_break, verdict.num_checked) for chain, verdict in found.items()}

    @staticmethod
    def _record(app_url: str, workspace_id: str) -> None:
        database = Database(app_url)
        try:
            with database.session(SYSTEM) as session:
                principal = Principal(workspace_id, "user_1", Role.ADMIN, "Ana")
                audit.record(session, principal=principal, action="thing.made", target_id="x")
        finally:
            database.dispose()


class TestAllFindings:
    """0015: all problems of a row, and findings in place of counts."""

    VERSION = (
        "insert into dataset_versions (id, workspace_id, dataset_id, number, status, job_id, health) "
        "values ('dsv_1', 'ws_1', 'ds_1', 1, 'ready', 'job_1', "
        "jsonb_build_object('duplicates', 1200, 'contradictions', 0, 'empty', 1))"
    )
    ROW = (
        "insert into rows (version_id, number, workspace_id, split, messages, problem) "
        "values ('dsv_1', {number}, 'ws_1', 'train', '[]', {problem})"
    )

    def test_the_problem_of_a_row_is_the_first_of_its_problems_and_counts_are_findings(
        self, empty_urls: tuple[str, str]
    ) -> None:
        owner_url, app_url = empty_urls
        rows = [
            self.ROW.format(number=1, problem="jsonb_build_object('code', 'duplicate')"),
            self.ROW.format(number=2, problem="null"),
        ]
        migrate.upgrade(owner_url, app_url, "0014")
        TestRowKinds._run(owner_url, [self.VERSION, *rows])
        migrate.upgrade(owner_url, app_url, "0015")
        found = TestRowKinds._run(owner_url, [], "select number, problems from rows order by number")
        assert found == [(1, [{"code": "duplicate"}]), (2, None)]
        [(health,)] = TestRowKinds._run(owner_url, [], "select health from dataset_versions")
        findings = Health.model_validate(health).findings
        assert [(finding.code, finding.count) for finding in findings] == [("empty", 1), ("duplicate", 1200)]
        assert findings[1].sentence == "1,200 examples say the same as an earlier one."
        migrate.downgrade(owner_url, "0014")
        found = TestRowKinds._run(owner_url, [], "select number, problem from rows order by number")
        assert found == [(1, {"code": "duplicate"}), (2, None)]
        assert TestRowKinds._run(owner_url, [], "select health ->> 'duplicates' from dataset_versions") == [("1200",)]
