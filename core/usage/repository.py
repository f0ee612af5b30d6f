from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy import Date, cast, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.kit.ids import new_id
from core.kit.pagination import Page, PageRequest
from core.usage.models import LedgerEntry, LedgerKind, Price


class PriceRepository:
    """Prices hold for the whole installation."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def at(self, hardware: str, moment: datetime | None) -> Price | None:
        """The price in force at `moment`, or now."""
        return self._session.scalar(
            select(Price)
            .where(Price.hardware == hardware, Price.valid_from <= (func.now() if moment is None else moment))
            .order_by(Price.valid_from.desc())
            .limit(1)
        )

    def all(self) -> Sequence[Price]:
        """Each hardware's prices, the latest first."""
        return self._session.scalars(select(Price).order_by(Price.hardware, Price.valid_from.desc())).all()


class LedgerRepository:
    def __init__(self, session: Session, workspace_id: str) -> None:
        self._session = session
        self._workspace_id = workspace_id

    def add_once(
        self,
        *,
        kind: LedgerKind,
        source_id: str,
        amount_micros: int,
        seconds: float,
        tokens: int,
        created_by: str | None,
        model: str | None = None,
        alias: str | None = None,
    ) -> bool:
        """True if the entry is new; False if its source was charged before, and then nothing changes."""
        added = self._session.scalar(
            insert(LedgerEntry)
            .values(
                id=new_id("led_"),
                workspace_id=self._workspace_id,
                kind=kind,
                source_id=source_id,
                amount_micros=amount_micros,
                seconds=seconds,
                tokens=tokens,
                created_by=created_by,
                model=model,
                alias=alias,
            )
            .on_conflict_do_nothing(index_elements=["kind", "source_id"])
            .returning(LedgerEntry.id)
        )
        return added is not None

    def page(self, page: PageRequest) -> Page[LedgerEntry]:
        query = (
            select(LedgerEntry)
            .where(LedgerEntry.workspace_id == self._workspace_id)
            .order_by(LedgerEntry.id if page.ascending else LedgerEntry.id.desc())
            .limit(page.limit + 1)
        )
        if page.after:
            query = query.where(LedgerEntry.id > page.after if page.ascending else LedgerEntry.id < page.after)
        return Page.cut(self._session.scalars(query).all(), page.limit)

    def by_day_and_kind(self, *, start: datetime, end: datetime) -> Sequence[tuple[date, LedgerKind, int, int]]:
        """Day in UTC, kind, micro-dollars and tokens of `start <= created_at < end`, in order of days."""
        day = cast(func.timezone("UTC", LedgerEntry.created_at), Date)
        rows = self._session.execute(
            select(day, LedgerEntry.kind, func.sum(LedgerEntry.amount_micros), func.sum(LedgerEntry.tokens))
            .where(
                LedgerEntry.workspace_id == self._workspace_id,
                LedgerEntry.created_at >= start,
                LedgerEntry.created_at < end,
            )
            .group_by(day, LedgerEntry.kind)
            .order_by(day)
        )
        return [(row[0], row[1], int(row[2]), int(row[3])) for row in rows]
