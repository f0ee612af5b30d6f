from typing import Annotated

from fastapi import APIRouter, Depends

from api.dependencies import SessionDep, SettingsDep, require
from api.pagination import ListBody, PageDep, list_body
from api.retries import RetriedRoute
from api.usage.schemas import (
    DayUsageBody,
    LedgerEntryBody,
    PriceBody,
    StorageBody,
    UsageSummaryBody,
    storage_body,
)
from core.datasets import files
from core.kit.clock import unix_s
from core.kit.money import usd
from core.kit.pagination import Page
from core.usage import service as usage
from core.usage.models import LedgerEntry, Price
from core.workspaces.principal import Principal
from core.workspaces.roles import Permission

router = APIRouter(tags=["usage"], route_class=RetriedRoute)

ReaderDep = Annotated[Principal, Depends(require(Permission.USAGE_READ))]


@router.get("/v1/usage/summary")
def get_usage_summary(principal: ReaderDep, session: SessionDep) -> UsageSummaryBody:
    """What the workspace spent this calendar month (UTC)."""
    summary = usage.month_summary(session, workspace_id=principal.workspace_id)
    return UsageSummaryBody(
        month=summary.month,
        total_usd=usd(summary.total_micros),
        training_usd=usd(summary.training_micros),
        inference_usd=usd(summary.inference_micros),
        export_usd=usd(summary.export_micros),
        tokens=summary.tokens,
        by_day=[DayUsageBody(date=day.date.isoformat(), usd=usd(day.amount_micros)) for day in summary.by_day],
    )


@router.get("/v1/usage/entries")
def list_usage_entries(principal: ReaderDep, session: SessionDep, page: PageDep) -> ListBody[LedgerEntryBody]:
    """Every charge, newest first."""
    return list_body(usage.list_entries(session, workspace_id=principal.workspace_id, page=page), _entry_body)


@router.get("/v1/usage/storage")
def get_usage_storage(principal: ReaderDep, session: SessionDep, settings: SettingsDep) -> StorageBody:
    """What the workspace's files take, and what they may."""
    limit = settings.max_workspace_bytes
    return storage_body(files.storage(session, workspace_id=principal.workspace_id, max_stored_bytes=limit))


@router.get("/v1/prices")
def list_prices(principal: ReaderDep, session: SessionDep) -> ListBody[PriceBody]:
    """What an hour of each hardware costs, with where the price is from; the latest first."""
    del principal  # prices are the same for all
    return list_body(Page(items=usage.list_prices(session), has_more=False), _price_body)


def _entry_body(entry: LedgerEntry) -> LedgerEntryBody:
    return LedgerEntryBody(
        id=entry.id,
        created_at=unix_s(entry.created_at),
        kind=entry.kind.value,
        source_id=entry.source_id,
        usd=usd(entry.amount_micros),
        seconds=entry.seconds,
        tokens=entry.tokens,
        created_by=entry.created_by,
        model=entry.model,
        alias=entry.alias,
    )


def _price_body(price: Price) -> PriceBody:
    return PriceBody(
        id=price.id,
        hardware=price.hardware,
        usd_per_hour=usd(price.micros_per_hour),
        valid_from=unix_s(price.valid_from),
        source=price.source,
    )
