"""What a model's page tells of its traffic, from figures of each question."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from core.base_models import service as base_models
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import NotFound
from core.kit.clock import utc_now
from core.serving.completions.types import Outcome
from core.serving.traffic import service as traffic
from core.serving.traffic.models import ServedRequest
from core.serving.traffic.types import DayTraffic, Latency, NewRequest, Traffic

pytestmark = pytest.mark.stack

MODEL = base_models.default_base_model().id


def note(database: Database, workspace_id: str, completion_id: str, *, days_ago: int = 0, **changes: object) -> None:
    values: dict[str, Any] = {
        "model": MODEL,
        "alias": None,
        "outcome": Outcome.SUCCEEDED,
        "error_code": None,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "first_token_ms": 100,
        "total_ms": 1000,
    }
    new = NewRequest(id=completion_id, workspace_id=workspace_id, **(values | changes))
    with database.session(workspace_scope(workspace_id)) as session:
        traffic.note(session, new)
    with database.session(SYSTEM) as session:
        session.execute(
            text("update served_requests set created_at = now() - :age where id = :id"),
            {"age": timedelta(days=days_ago), "id": completion_id},
        )


def told(database: Database, settings: Settings, workspace_id: str, *, days: int = 7, name: str = MODEL) -> Traffic:
    with database.session(workspace_scope(workspace_id)) as session:
        return traffic.of_model(session, workspace_id=workspace_id, model_id=name, days=days, settings=settings)


def test_nobody_asked_yet(database: Database, settings: Settings, workspace_id: str) -> None:
    found = told(database, settings, workspace_id)
    assert (found.totals.num_requests, found.totals.first_token, found.totals.whole_answer) == (0, None, None)
    assert found.by_day[-1] == DayTraffic(utc_now().date())
    assert (len(found.by_day), found.errors) == (7, ())
    with pytest.raises(NotFound):
        told(database, settings, workspace_id, name="ft:nobody")


def test_days_and_tokens_are_added_up(database: Database, settings: Settings, workspace_id: str) -> None:
    for number, days_ago in enumerate([0, 0, 6, 7, 29, 30]):
        note(database, workspace_id, f"chatcmpl-{number}", days_ago=days_ago)
    week, month = told(database, settings, workspace_id), told(database, settings, workspace_id, days=30)
    assert (week.totals.num_requests, month.totals.num_requests) == (3, 5)
    assert (week.totals.prompt_tokens, week.totals.completion_tokens) == (30, 15)
    today = utc_now().date()
    assert week.by_day[-1] == DayTraffic(today, 2, 0, 20, 10)
    assert [day.num_requests for day in week.by_day] == [1, 0, 0, 0, 0, 0, 2]
    assert (len(month.by_day), month.by_day[0].date) == (30, today - timedelta(days=29))


def test_latencies_are_of_what_has_them(database: Database, settings: Settings, workspace_id: str) -> None:
    for number in range(1, 102):
        note(database, workspace_id, f"chatcmpl-{number}", first_token_ms=number, total_ms=10 * number)
    # its words began, and its end was nobody's any more
    gone = {"outcome": Outcome.CANCELLED, "first_token_ms": 51, "total_ms": 999_999}
    note(database, workspace_id, "chatcmpl-gone", **gone)
    note(database, workspace_id, "chatcmpl-failed", outcome=Outcome.FAILED, error_code="a", first_token_ms=None)
    totals = told(database, settings, workspace_id).totals
    assert (totals.num_requests, totals.num_failed, totals.num_cancelled) == (103, 1, 1)
    assert totals.first_token == Latency(p50_ms=51.0, p95_ms=pytest.approx(96, abs=0.1))
    assert totals.whole_answer == Latency(p50_ms=510.0, p95_ms=960.0)


def test_errors_are_told_by_how_often_they_came(database: Database, settings: Settings, workspace_id: str) -> None:
    codes = ["b", "a", "b", "c", "d", "e", "f", "f"]
    for number, code in enumerate(codes):
        note(database, workspace_id, f"chatcmpl-{number}", outcome=Outcome.FAILED, error_code=code)
    found = told(database, settings, workspace_id)
    assert found.errors == (("b", 2), ("f", 2), ("a", 1), ("c", 1), ("d", 1))
    assert found.by_day[-1].num_failed == 8


def test_a_question_counts_once_and_for_who_asked(
    database: Database, settings: Settings, workspace_id: str, other_workspace_id: str
) -> None:
    note(database, workspace_id, "chatcmpl-1")
    note(database, workspace_id, "chatcmpl-1", completion_tokens=500)
    note(database, other_workspace_id, "chatcmpl-2")
    assert told(database, settings, workspace_id).totals.completion_tokens == 5
    assert told(database, settings, other_workspace_id).totals.num_requests == 1


def test_only_what_no_page_tells_is_swept(
    database: Database, workspace_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.serving.traffic.service._SWEPT_AT_ONCE", 2)
    for number, days_ago in enumerate([0, 30, 32, 33, 400]):
        note(database, workspace_id, f"chatcmpl-{number}", days_ago=days_ago)
    removed = []
    for _ in range(3):
        with database.session(SYSTEM) as session:
            removed.append(traffic.sweep(session))
    assert removed == [2, 1, 0]
    with database.session(SYSTEM) as session:
        assert {row.id for row in session.query(ServedRequest)} == {"chatcmpl-0", "chatcmpl-1"}


def test_a_model_is_found_by_an_index(database: Database, workspace_id: str) -> None:
    with database.session(SYSTEM) as session:
        session.execute(
            text(
                "insert into served_requests (id, workspace_id, model, outcome, prompt_tokens, completion_tokens, "
                "total_ms) select 'c' || n, :workspace, 'm' || n % 500, 'succeeded', 1, 1, 1 "
                "from generate_series(1, 20000) n"
            ),
            {"workspace": workspace_id},
        )
        session.execute(text("analyze served_requests"))
        plan = session.execute(
            text(
                "explain select count(*) from served_requests where workspace_id = :workspace and model = 'm1' "
                "and created_at >= now() - interval '7 days'"
            ),
            {"workspace": workspace_id},
        )
        assert "ix_served_requests_workspace_id_model_created_at" in "\n".join(row[0] for row in plan)
