"""What work costs and what was used. A ledger entry is written once per source and never changed."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy.orm import Session

from core.errors import NotFound
from core.kit.clock import utc_now
from core.kit.pagination import Page, PageRequest
from core.usage.models import LedgerEntry, LedgerKind, Price
from core.usage.repository import LedgerRepository, PriceRepository
from core.usage.types import DayUsage, MonthSummary

_DECEMBER = 12


def price_at(session: Session, hardware: str, *, moment: datetime | None = None) -> Price:
    """The price of an hour of `hardware` at `moment`, or now. Raises `NotFound` (`price_not_found`)."""
    price = PriceRepository(session).at(hardware, moment)
    if price is None:
        raise NotFound(
            f"There is no price for {hardware}. An admin can add one to the table of prices.",
            code="price_not_found",
            details={"hardware": hardware},
        )
    return price


def list_prices(session: Session) -> Sequence[Price]:
    return PriceRepository(session).all()


def record(
    session: Session,
    *,
    workspace_id: str,
    kind: LedgerKind | str,
    source_id: str,
    amount_micros: int,
    seconds: float,
    tokens: int,
    created_by: str | None,
    model: str | None = None,
    alias: str | None = None,
) -> bool:
    """Charge a source once. False if it was charged before: then the first entry stands and nothing changes."""
    if amount_micros < 0 or seconds < 0 or tokens < 0:
        raise ValueError(f"a ledger entry cannot be negative: {amount_micros=} {seconds=} {tokens=}")
    return LedgerRepository(session, workspace_id).add_once(
        kind=LedgerKind(kind),
        source_id=source_id,
        amount_micros=amount_micros,
        seconds=seconds,
        tokens=tokens,
        created_by=created_by,
        model=model,
        alias=alias,
    )


def list_entries(session: Session, *, workspace_id: str, page: PageRequest) -> Page[LedgerEntry]:
    return LedgerRepository(session, workspace_id).page(page)


def month_summary(session: Session, *, workspace_id: str, moment: datetime | None = None) -> MonthSummary:
    """The calendar month (UTC) of `moment`, or the present one."""
    start = (moment or utc_now()).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (
        start.replace(year=start.year + 1, month=1)
        if start.month == _DECEMBER
        else start.replace(month=start.month + 1)
    )
    by_kind: dict[LedgerKind, int] = defaultdict(int)
    by_day: dict[date, int] = defaultdict(int)
    tokens = 0
    for day, kind, amount_micros, num_tokens in LedgerRepository(session, workspace_id).by_day_and_kind(
        start=start, end=end
    ):
        by_kind[kind] += amount_micros
        by_day[day] += amount_micros
        tokens += num_tokens
    return MonthSummary(
        month=f"{start:%Y-%m}",
        total_micros=sum(by_kind.values()),
        training_micros=by_kind[LedgerKind.TRAINING],
        inference_micros=by_kind[LedgerKind.INFERENCE],
        export_micros=by_kind[LedgerKind.EXPORT],
        tokens=tokens,
        by_day=tuple(DayUsage(date=day, amount_micros=amount) for day, amount in by_day.items()),
    )
