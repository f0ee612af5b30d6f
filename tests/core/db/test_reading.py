import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import DBAPIError

from core.audit import service as audit
from core.audit.models import AuditEvent
from core.db.reading import Reading
from core.db.session import SYSTEM, Database, workspace_scope
from core.workspaces.models import Membership, Workspace
from core.workspaces.principal import Principal

pytestmark = pytest.mark.stack

_OF_USER = (
    select(Membership, Workspace.name, AuditEvent)
    .join(Workspace, Workspace.id == Membership.workspace_id)
    .outerjoin(AuditEvent, AuditEvent.target_id == bindparam("target_id"))
    .where(Membership.user_id == bindparam("user_id"))
)
READING = Reading(_OF_USER)


def test_its_records_read_like_the_objects_of_a_session(database: Database, principal: Principal) -> None:
    with database.session(workspace_scope(principal.workspace_id)) as session:
        event = audit.record(session, principal=principal, action="done", target_id="x", details={"a": [1]})
    parameters = {"user_id": principal.user_id, "target_id": event.target_id}
    with database.session(workspace_scope(principal.workspace_id)) as session:
        found = READING.one_or_none(session, parameters)
        assert found is not None
        expected = session.execute(_OF_USER, parameters).one()
        for record, thing in ((found[0], expected[0]), (found[2], expected[2])):
            assert record._asdict() == {name: getattr(thing, name) for name in record._fields}
        assert found[1] == expected[1]


def test_what_the_session_has_changed_is_seen(database: Database, principal: Principal) -> None:
    with database.session(SYSTEM) as session:
        session.get_one(Workspace, principal.workspace_id).name = "Called anew"
        found = READING.one_or_none(session, {"user_id": principal.user_id, "target_id": "none"})
        assert found is not None
        assert found[1] == "Called anew"


def test_what_an_outer_join_does_not_find_is_none(database: Database, principal: Principal) -> None:
    with database.session(SYSTEM) as session:
        found = READING.one_or_none(session, {"user_id": principal.user_id, "target_id": "none"})
    assert found is not None
    assert found[2] is None


def test_it_sees_no_more_than_its_session(database: Database, principal: Principal, other_workspace_id: str) -> None:
    with database.session(workspace_scope(other_workspace_id)) as session:
        assert READING.one_or_none(session, {"user_id": principal.user_id, "target_id": "x"}) is None


def test_more_than_one_row_is_an_error(database: Database, principal: Principal) -> None:
    with database.session(SYSTEM) as session:
        for _ in range(2):
            audit.record(session, principal=principal, action="done", target_id="x")
    with database.session(SYSTEM) as session, pytest.raises(ValueError, match="one row was meant"):
        READING.one_or_none(session, {"user_id": principal.user_id, "target_id": "x"})


def test_a_failure_is_one_of_sqlalchemys(database: Database, principal: Principal) -> None:
    parameters = {"user_id": principal.user_id, "target_id": "x"}
    with pytest.raises(DBAPIError) as failed, database.session(SYSTEM) as session:
        session.execute(text("set local search_path = pg_temp"))
        READING.one_or_none(session, parameters)
    # an unknown table
    assert getattr(failed.value.orig, "sqlstate", None) == "42P01"
    assert not failed.value.connection_invalidated


def test_a_connection_that_was_cut_is_given_up(database: Database, principal: Principal) -> None:
    parameters = {"user_id": principal.user_id, "target_id": "x"}
    with (
        database.session(SYSTEM) as cutter,
        pytest.raises(DBAPIError) as failed,
        database.session(SYSTEM) as session,
    ):
        pid = session.scalar(text("select pg_backend_pid()"))
        cutter.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        READING.one_or_none(session, parameters)
    assert failed.value.connection_invalidated
    with database.session(SYSTEM) as session:
        assert READING.one_or_none(session, parameters) is not None
