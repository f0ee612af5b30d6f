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
