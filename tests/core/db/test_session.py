import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from core.db.connection import BoundedConnection
from core.db.session import SYSTEM, Database, Scope, after_commit, workspace_scope
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack

NUM_MEMBERS = text("select count(*) from memberships")


class TestScope:
    def test_a_workspace_sees_its_own_rows(
        self, database: Database, principal: Principal, other_workspace_id: str, as_stranger: dict[str, str]
    ) -> None:
        for scope, expected in (
            (workspace_scope(principal.workspace_id), 1),
            (workspace_scope(other_workspace_id), 1),
            (workspace_scope("ws_none"), 0),
            (workspace_scope(""), 0),
            (Scope(), 0),
            (SYSTEM, 2),
        ):
            with database.session(scope) as session:
                assert session.scalar(NUM_MEMBERS) == expected, scope

    def test_it_does_not_stay_on_a_pooled_connection(self, database: Database, principal: Principal) -> None:
        with database.session(SYSTEM) as session:
            session.scalar(NUM_MEMBERS)
        with database.engine.connect() as connection:
            assert connection.scalar(NUM_MEMBERS) == 0

    def test_it_is_told_again_in_the_transaction_after_a_commit(self, database: Database, principal: Principal) -> None:
        with database.session(workspace_scope(principal.workspace_id)) as session:
            session.commit()
            assert session.scalar(NUM_MEMBERS) == 1

    def test_a_row_cannot_be_written_for_another_workspace(
        self, database: Database, principal: Principal, other_workspace_id: str
    ) -> None:
        insert = text("insert into memberships (workspace_id, user_id, role) values (:workspace_id, :user_id, 'admin')")
        values = {"workspace_id": other_workspace_id, "user_id": principal.user_id}
        with (
            pytest.raises(DBAPIError, match="row-level security"),
            database.session(workspace_scope(principal.workspace_id)) as session,
        ):
            session.execute(insert, values)


class TestConnections:
    CUT = text("select pg_terminate_backend(pid) from unnest(cast(:pids as int[])) as pid")
    PID = text("select pg_backend_pid()")

    def test_one_that_was_cut_while_it_rested_is_replaced_unseen(self, database: Database) -> None:
        with database.session(SYSTEM) as cutter:
            with database.session(SYSTEM) as one, database.session(SYSTEM) as other:
                pids = [session.scalar(self.PID) for session in (one, other)]
            cutter.execute(self.CUT, {"pids": pids})
            for _ in range(3):
                with database.session(SYSTEM) as session:
                    assert session.scalar(self.PID) not in pids

    def test_a_transaction_that_was_cut_in_the_middle_is_not_begun_anew(self, database: Database) -> None:
        with (
            database.session(SYSTEM) as cutter,
            pytest.raises(OperationalError),
            database.session(SYSTEM) as session,
        ):
            cutter.execute(self.CUT, {"pids": [session.scalar(self.PID)]})
            session.scalar(self.PID)

    def test_beginning_and_telling_the_scope_is_one_message(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[object] = []
        execute = BoundedConnection.execute

        def noted(driver: BoundedConnection, statement: object, *arguments: object, **options: object) -> object:
            told.append(statement)
            return execute(driver, statement, *arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(BoundedConnection, "execute", noted)
        with database.session(workspace_scope("it's 5 %s")) as session:
            assert session.scalar(text("select current_setting('app.workspace_id')")) == "it's 5 %s"
            assert session.scalar(text("select current_setting('app.scope')")) == "workspace"
        assert len(told) == 1

    def test_a_question_over_one_that_was_cut_is_asked_again(self, database: Database) -> None:
        with database.session(SYSTEM) as cutter:
            with database.session(SYSTEM) as one, database.session(SYSTEM) as other:
                pids = [session.scalar(self.PID) for session in (one, other)]
            cutter.execute(self.CUT, {"pids": pids})
            for _ in range(3):
                assert database.ask("select %(number)s::int as number", {"number": 5}) == {"number": 5}

    def test_a_question_that_is_wrong_fails_as_any_other_does(self, database: Database) -> None:
        with pytest.raises(DBAPIError) as failed:
            database.ask("select cast(%(word)s as int)", {"word": "hunter2"})
        assert failed.value.orig is not None
        assert getattr(failed.value.orig, "sqlstate", None) == "22P02"


class TestHooks:
    def test_they_run_after_the_commit_and_only_then(self, database: Database) -> None:
        rung: list[str] = []
        with database.session(SYSTEM) as session:
            after_commit(session, lambda: rung.append("a"))
            assert rung == []
        assert rung == ["a"]

    def test_a_rollback_discards_them(self, database: Database) -> None:
        rung: list[str] = []
        with pytest.raises(ZeroDivisionError), database.session(SYSTEM) as session:
            after_commit(session, lambda: rung.append("a"))
            _ = 1 / 0
        assert rung == []

    def test_one_that_fails_keeps_neither_the_work_nor_the_others_from_happening(self, database: Database) -> None:
        rung: list[str] = []
        with database.session(SYSTEM) as session:
            after_commit(session, lambda: rung.append(str(1 / 0)))
            after_commit(session, lambda: rung.append("b"))
        assert rung == ["b"]


def test_a_failure_does_not_quote_the_values_that_it_was_given(database: Database) -> None:
    with pytest.raises(DBAPIError) as failed, database.session(SYSTEM) as session:
        session.execute(text("select cast(:word as text), cast(:number as int)"), {"word": "hunter2", "number": "x"})
    assert "hunter2" not in str(failed.value)


def test_a_statement_that_never_ends_is_ended(database: Database) -> None:
    impatient = Database(database.engine.url.render_as_string(hide_password=False), statement_timeout_s=1)
    with pytest.raises(DBAPIError, match="statement timeout"), impatient.session(SYSTEM) as session:
        session.execute(text("select pg_sleep(30)"))
    impatient.dispose()
