import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from core.audit import service
from core.db.session import SYSTEM, Database, workspace_scope
from core.kit.pagination import PageRequest
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack


def test_a_deed_that_is_rolled_back_leaves_no_record(database: Database, principal: Principal) -> None:
    with pytest.raises(ZeroDivisionError), database.session(workspace_scope(principal.workspace_id)) as session:
        service.record(session, principal=principal, action="thing.made", target_id="x")
        _ = 1 / 0
    with database.session(workspace_scope(principal.workspace_id)) as session:
        page = service.list_events(session, workspace_id=principal.workspace_id, page=PageRequest())
    assert page.items == []


def test_it_says_who_as_they_were_then(database: Database, principal: Principal) -> None:
    with database.session(workspace_scope(principal.workspace_id)) as session:
        event = service.record(session, principal=principal, action="thing.made", target_id="x", details={"n": 1})
    assert (event.actor_user_id, event.actor_name) == (principal.user_id, principal.display_name)
    assert event.details == {"n": 1}


@pytest.mark.parametrize("statement", ["update audit_events set action = 'other'", "delete from audit_events"])
def test_nobody_can_change_or_remove_a_record(
    database: Database, owner_engine: Engine, principal: Principal, statement: str
) -> None:
    with database.session(workspace_scope(principal.workspace_id)) as session:
        service.record(session, principal=principal, action="thing.made", target_id="x")
    with pytest.raises((DBAPIError, ProgrammingError), match="append-only"), database.session(SYSTEM) as session:
        session.execute(text(statement))
    with owner_engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text("select set_config('app.scope', 'system', true)"))
        connection.execute(text(statement))


def test_a_deed_of_a_savepoint_that_is_rolled_back_leaves_no_record(database: Database, principal: Principal) -> None:
    with database.session(workspace_scope(principal.workspace_id)) as session:
        service.record(session, principal=principal, action="thing.made", target_id="kept")
        with pytest.raises(ZeroDivisionError), session.begin_nested():
            service.record(session, principal=principal, action="thing.made", target_id="undone")
            _ = 1 / 0
        with session.begin_nested():
            service.record(session, principal=principal, action="thing.made", target_id="kept too")
    with database.session(workspace_scope(principal.workspace_id)) as session:
        page = service.list_events(session, workspace_id=principal.workspace_id, page=PageRequest())
    assert [event.target_id for event in page.items] == ["kept too", "kept"]


def test_a_secret_in_details_is_not_kept(database: Database, principal: Principal) -> None:
    details = {"password": "hunter2", "nested": {"note": "key tb_live_abcdefgh0123456789"}, "prompt_tokens": 3}
    with database.session(workspace_scope(principal.workspace_id)) as session:
        event = service.record(session, principal=principal, action="thing.made", target_id="x", details=details)
    assert event.details == {
        "password": "[redacted]",
        "nested": {"note": "key tb_live_[redacted]"},
        "prompt_tokens": 3,
    }


def test_what_concerns_the_installation_is_in_no_workspaces_log(database: Database, principal: Principal) -> None:
    with database.session(SYSTEM) as session:
        service.record_above(session, principal=principal, action="admin.did", target_id="x")
    with database.session(workspace_scope(principal.workspace_id)) as session:
        assert service.list_events(session, workspace_id=principal.workspace_id, page=PageRequest()).items == []
        assert session.scalar(text("select count(*) from audit_events")) == 0
        assert session.scalar(text("select count(*) from audit_chains")) == 0


def test_the_newest_hash_of_a_chain_is_in_the_log_of_the_process(
    database: Database, principal: Principal, caplog: pytest.LogCaptureFixture
) -> None:
    """Where whoever changes the database cannot change it too."""
    with caplog.at_level("INFO"), database.session(workspace_scope(principal.workspace_id)) as session:
        event = service.record(session, principal=principal, action="thing.made", target_id="x")
    (record,) = [record for record in caplog.records if record.name == "core.audit.service"]
    fields = vars(record)["fields"]
    assert (fields["sequence"], fields["hash"], fields["workspace_id"]) == (1, event.hash, principal.workspace_id)
