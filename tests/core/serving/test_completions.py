from datetime import timedelta

import pytest
from sqlalchemy import text

from core.db.session import SYSTEM, Database, workspace_scope
from core.serving.completions import log as request_log
from core.serving.completions import service as completions
from core.serving.completions.models import Completion, RequestLog
from core.serving.completions.types import LogChange, LogRule, Origin
from core.workspaces.roles import Role
from tests.conftest import make_principal
from tests.factories.completions import new_completion

pytestmark = pytest.mark.stack


def test_an_answer_is_kept_once(database: Database, workspace_id: str) -> None:
    for _ in range(2):
        with database.session(workspace_scope(workspace_id)) as session:
            completions.keep(session, new_completion(workspace_id))
    with database.session(SYSTEM) as session:
        assert session.query(Completion).count() == 1


def test_what_postgres_cannot_hold_is_replaced(database: Database, workspace_id: str) -> None:
    with database.session(workspace_scope(workspace_id)) as session:
        completions.keep(
            session,
            new_completion(
                workspace_id,
                messages=[{"role": "user", "content": [{"type": "text", "text": "a\0b"}]}],
                metadata={"k\0": "\0"},
            ),
        )
    with database.session(workspace_scope(workspace_id)) as session:
        found = completions.get(session, workspace_id=workspace_id, completion_id="chatcmpl-1")
        assert found.messages[0]["content"][0]["text"] == "a\ufffdb"
        assert found.user_metadata == {"k\ufffd": "\ufffd"}


def test_only_what_was_kept_for_its_time_is_swept(
    database: Database, workspace_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.serving.completions.service._SWEPT_AT_ONCE", 2)
    ages = {"chatcmpl-0": 0, "chatcmpl-1": 29, "chatcmpl-2": 31, "chatcmpl-3": 40, "chatcmpl-4": 400}
    with database.session(SYSTEM) as session:
        for completion_id, days in ages.items():
            completions.keep(session, new_completion(workspace_id, completion_id))
            session.execute(
                text("update completions set created_at = now() - :age where id = :id"),
                {"age": timedelta(days=days), "id": completion_id},
            )
    removed = []
    for _ in range(3):
        with database.session(SYSTEM) as session:
            removed.append(completions.sweep(session, older_than_days=30))
    assert removed == [2, 1, 0]
    with database.session(SYSTEM) as session:
        assert {row.id for row in session.query(Completion)} == {"chatcmpl-0", "chatcmpl-1"}


def test_what_was_logged_goes_when_its_workspace_says_so(
    database: Database, workspace_id: str, other_workspace_id: str
) -> None:
    ages = {"chatcmpl-0": 2, "chatcmpl-1": 8, "chatcmpl-2": 8}
    with database.session(SYSTEM) as session:
        for workspace, is_on in ((workspace_id, True), (other_workspace_id, False)):
            log = RequestLog(workspace_id=workspace, is_on=is_on, retention_days=7 if is_on else 30, is_masked=True)
            session.add(log)
        for completion_id, days in ages.items():
            workspace = other_workspace_id if completion_id == "chatcmpl-2" else workspace_id
            completions.keep(session, new_completion(workspace, completion_id, origin=Origin.LOGGED))
            session.execute(
                text("update completions set created_at = now() - :age where id = :id"),
                {"age": timedelta(days=days), "id": completion_id},
            )
    with database.session(SYSTEM) as session:
        assert completions.sweep(session, older_than_days=0) == 1
        assert completions.sweep(session, older_than_days=1) == 0
        assert {row.id for row in session.query(Completion)} == {"chatcmpl-0", "chatcmpl-2"}


def test_a_change_of_the_log_takes_no_other_back(database: Database, workspace_id: str) -> None:
    """Else who shortens the days turns on what another turned off in that moment."""
    principal = make_principal(database, workspace_id, Role.ADMIN)
    scope = workspace_scope(workspace_id)
    with database.session(scope) as session:
        request_log.change(session, principal=principal, wanted=LogChange(is_on=True))
    with database.session(scope) as session:
        seen = session.get_one(RequestLog, workspace_id)
        with database.session(scope) as other:
            request_log.change(other, principal=principal, wanted=LogChange(is_on=False))
        found = request_log.change(session, principal=principal, wanted=LogChange(retention_days=7))
        assert (seen.is_on, found) == (False, LogRule(is_on=False, retention_days=7))
