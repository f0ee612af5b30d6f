from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.db.session import SYSTEM, Database, workspace_scope
from core.errors import NotFound
from core.kit.clock import utc_now
from core.kit.pagination import PageRequest
from core.usage import service as usage
from core.usage.models import LedgerKind, Price

pytestmark = pytest.mark.stack


def charge(database: Database, workspace_id: str, **changes: object) -> bool:
    values: dict[str, object] = {
        "kind": LedgerKind.TRAINING,
        "source_id": "ftjob-1",
        "amount_micros": 1_500,
        "seconds": 90.5,
        "tokens": 1000,
        "created_by": None,
        **changes,
    }
    with database.session(workspace_scope(workspace_id)) as session:
        return usage.record(session, workspace_id=workspace_id, **values)  # type: ignore[arg-type]


class TestLedger:
    def test_a_source_is_charged_once_however_often_it_is_tried(self, database: Database, workspace_id: str) -> None:
        with ThreadPoolExecutor(4) as pool:
            added = list(pool.map(lambda n: charge(database, workspace_id, amount_micros=n + 1), range(4)))
        assert sorted(added) == [False, False, False, True]
        with database.session(workspace_scope(workspace_id)) as session:
            (entry,) = usage.list_entries(session, workspace_id=workspace_id, page=PageRequest()).items
        assert entry.amount_micros == added.index(True) + 1

    def test_training_and_inference_of_one_source_are_two_charges(self, database: Database, workspace_id: str) -> None:
        assert charge(database, workspace_id)
        assert charge(database, workspace_id, kind="inference")

    def test_an_entry_can_neither_be_changed_nor_removed(self, database: Database, workspace_id: str) -> None:
        charge(database, workspace_id)
        for statement in ("update ledger_entries set amount_micros = 0", "delete from ledger_entries"):
            with pytest.raises(DBAPIError, match="append-only"), database.session(SYSTEM) as session:
                session.execute(text(statement))

    def test_nobody_is_charged_less_than_nothing(self, database: Database, workspace_id: str) -> None:
        with pytest.raises(ValueError, match="negative"):
            charge(database, workspace_id, amount_micros=-1)

    def test_pages_go_from_new_to_old(self, database: Database, workspace_id: str) -> None:
        for n in range(3):
            charge(database, workspace_id, source_id=f"ftjob-{n}")
        with database.session(workspace_scope(workspace_id)) as session:
            first = usage.list_entries(session, workspace_id=workspace_id, page=PageRequest(limit=2))
            page = PageRequest(limit=2, after=first.items[-1].id)
            second = usage.list_entries(session, workspace_id=workspace_id, page=page)
        assert [entry.source_id for entry in first.items] == ["ftjob-2", "ftjob-1"]
        assert [entry.source_id for entry in second.items] == ["ftjob-0"]
        assert (first.has_more, second.has_more) == (True, False)


class TestSummary:
    def test_it_adds_up_this_month_by_kind_and_day(
        self, database: Database, workspace_id: str, other_workspace_id: str
    ) -> None:
        charge(database, workspace_id, amount_micros=2_000_000, tokens=10)
        charge(database, workspace_id, kind="inference", source_id="chat-1", amount_micros=30, tokens=5)
        charge(database, other_workspace_id, source_id="ftjob-other")
        with database.session(workspace_scope(workspace_id)) as session:
            summary = usage.month_summary(session, workspace_id=workspace_id)
        assert summary.month == f"{utc_now():%Y-%m}"
        assert (summary.total_micros, summary.training_micros, summary.inference_micros) == (2_000_030, 2_000_000, 30)
        assert summary.tokens == 15
        assert sum(day.amount_micros for day in summary.by_day) == summary.total_micros

    @pytest.mark.parametrize(
        ("moment", "month", "days"),
        [
            (datetime(2024, 12, 31, 23, 59, tzinfo=UTC), "2024-12", {date(2024, 12, 1): 1, date(2024, 12, 31): 2}),
            (datetime(2025, 1, 1, tzinfo=UTC), "2025-01", {date(2025, 1, 1): 4}),
        ],
    )
    def test_a_month_ends_where_the_next_begins(
        self, database: Database, workspace_id: str, moment: datetime, month: str, days: dict[date, int]
    ) -> None:
        moments = {"2024-12-01T00:00Z": 1, "2024-12-31T23:59:59.9Z": 2, "2025-01-01T00:00Z": 4}
        with database.session(SYSTEM) as session:
            for created_at, amount_micros in moments.items():
                session.execute(
                    text(
                        "insert into ledger_entries (id, workspace_id, kind, source_id, amount_micros, seconds, tokens,"
                        " created_at) values (:id, :workspace_id, 'training', :id, :amount, 1, 1, :created_at)"
                    ),
                    {
                        "id": created_at,
                        "created_at": datetime.fromisoformat(created_at),
                        "workspace_id": workspace_id,
                        "amount": amount_micros,
                    },
                )
        with database.session(workspace_scope(workspace_id)) as session:
            summary = usage.month_summary(session, workspace_id=workspace_id, moment=moment)
        assert summary.month == month
        assert {day.date: day.amount_micros for day in summary.by_day} == days


class TestPrices:
    def test_every_seeded_price_is_in_force_and_names_its_source(self, database: Database) -> None:
        with database.session(SYSTEM) as session:
            prices = usage.list_prices(session)
            assert {"cpu", "gpu:h100"} <= {price.hardware for price in prices}
            for price in prices:
                assert price.source
                assert price.micros_per_hour > 0
            assert usage.price_at(session, "cpu").micros_per_hour == 60_000

    def test_the_latest_price_in_force_counts(self, database: Database) -> None:
        with database.session(SYSTEM) as session:
            for year, micros in ((2001, 1), (2002, 2), (2999, 3)):
                valid_from = datetime(year, 1, 1, tzinfo=UTC)
                session.add(
                    Price(id=f"p{year}", hardware="tpu", micros_per_hour=micros, valid_from=valid_from, source="s")
                )
        with database.session(SYSTEM) as session:
            assert usage.price_at(session, "tpu").micros_per_hour == 2
            assert usage.price_at(session, "tpu", moment=datetime(2001, 6, 1, tzinfo=UTC)).micros_per_hour == 1
            with pytest.raises(NotFound) as caught:
                usage.price_at(session, "tpu", moment=datetime(2000, 6, 1, tzinfo=UTC))
        assert caught.value.error_code == "price_not_found"
