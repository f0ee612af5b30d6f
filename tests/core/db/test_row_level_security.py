"""The second wall: what the application's role is shown and may write when nobody remembered to name the workspace.

Tables are found in the database's catalogue. Each gets a row of either workspace, whatever columns it has, in a
transaction that takes all references and rules away and is rolled back at the end.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from core.db.session import Database

pytestmark = [pytest.mark.stack, pytest.mark.drill(31), pytest.mark.fast_drill]

OURS, THEIRS = "ws_ours", "ws_theirs"
NO_RULES = """
    do $$ declare found record; begin
        for found in select conrelid::regclass as owner, conname from pg_constraint
            where contype in ('f', 'c') and connamespace = 'public'::regnamespace
        loop execute format('alter table %s drop constraint %I', found.owner, found.conname); end loop;
        for found in select tgrelid::regclass as owner, tgname from pg_trigger
            where not tgisinternal and tgrelid::regclass::text in (select tablename from pg_tables
            where schemaname = 'public')
        loop execute format('drop trigger %I on %s', found.tgname, found.owner); end loop;
    end $$
"""
OWNED = """
    select table_name from information_schema.columns c join pg_tables t on t.tablename = c.table_name
    where c.table_schema = 'public' and c.column_name = 'workspace_id' order by table_name
"""
COLUMNS = """
    select column_name, data_type from information_schema.columns
    where table_schema = 'public' and table_name = :table and is_nullable = 'NO' and column_default is null
      and is_identity = 'NO' and is_generated = 'NEVER' and column_name <> 'workspace_id'
"""
VALUES = {
    "text": "'{workspace_id}'",
    "bigint": "1",
    "integer": "1",
    "double precision": "1",
    "boolean": "true",
    "jsonb": "'{{}}'",
    "bytea": "'\\x00'",
    "timestamp with time zone": "now()",
    "date": "now()",
}


@pytest.fixture
def connection(database: Database, owner_engine: Engine) -> Iterator[Connection]:
    """As the application's role, in a transaction with a row of each workspace in every table that has workspaces."""
    role = database.engine.url.username
    with owner_engine.connect() as found, found.begin() as transaction:
        found.execute(text("select set_config('app.scope', 'system', true)"))
        found.execute(text(NO_RULES))
        for table in tables(found):
            for workspace_id in (OURS, THEIRS):
                found.execute(text(insert(found, table, workspace_id)))
        found.execute(text(f"grant {role} to current_user with set true"))
        found.execute(text("select set_config('app.scope', '', true)"))
        found.execute(text(f"set local role {role}"))
        yield found
        transaction.rollback()


def tables(connection: Connection) -> list[str]:
    return list(connection.scalars(text(OWNED)))


def insert(connection: Connection, table: str, workspace_id: str) -> str:
    columns = connection.execute(text(COLUMNS), {"table": table}).all()
    names = ", ".join(["workspace_id", *(name for name, _ in columns)])
    template = ", ".join(["'{workspace_id}'", *(VALUES[kind] for _, kind in columns)])
    return f"insert into {table} ({names}) values ({template.format(workspace_id=workspace_id)})"


def scope(connection: Connection, workspace_id: str) -> None:
    connection.execute(text("select set_config('app.workspace_id', :id, true)"), {"id": workspace_id})


def seen(connection: Connection, table: str) -> list[str]:
    return list(connection.scalars(text(f"select workspace_id from {table} order by workspace_id")))


def test_there_is_something_to_guard(connection: Connection) -> None:
    found = tables(connection)
    assert {"jobs", "runs", "files", "api_keys", "memberships", "audit_events"} <= set(found)
    scope(connection, OURS)
    assert {table: seen(connection, table) for table in found} == {key: [OURS] for key in found}
    connection.execute(text("select set_config('app.scope', 'system', true)"))
    assert {table: seen(connection, table) for table in found} == {key: [OURS, THEIRS] for key in found}


@pytest.mark.parametrize("workspace_id", [None, "", "ws_nobodys"])
def test_without_a_scope_or_with_a_foreign_one_no_table_shows_a_row(
    connection: Connection, workspace_id: str | None
) -> None:
    if workspace_id is not None:
        scope(connection, workspace_id)
    assert {table: found for table in tables(connection) if (found := seen(connection, table))} == {}


@pytest.mark.parametrize("workspace_id", [None, "", OURS])
def test_no_row_of_another_workspace_is_changed_or_deleted(connection: Connection, workspace_id: str | None) -> None:
    if workspace_id is not None:
        scope(connection, workspace_id)
    found = tables(connection)
    for table in found:
        for statement in (
            f"update {table} set workspace_id = workspace_id where workspace_id = '{THEIRS}'",
            f"delete from {table} where workspace_id = '{THEIRS}'",
        ):
            assert connection.execute(text(statement)).rowcount == 0, statement
    scope(connection, THEIRS)
    assert {table: seen(connection, table) for table in found} == {key: [THEIRS] for key in found}


@pytest.mark.parametrize("workspace_id", [None, "", THEIRS])
def test_no_row_is_written_for_another_workspace(connection: Connection, workspace_id: str | None) -> None:
    for table in tables(connection):
        statement = insert(connection, table, "ws_third")
        if workspace_id is not None:
            scope(connection, workspace_id)
        with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
            connection.execute(text(statement))


def test_no_row_is_given_away(connection: Connection) -> None:
    scope(connection, OURS)
    for table in tables(connection):
        with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
            connection.execute(text(f"update {table} set workspace_id = '{THEIRS}'"))
