from typing import Literal

from api.schemas import ResponseBody
from core.datasets.files import Storage


class DayUsageBody(ResponseBody):
    date: str
    """Such as `2026-11-23`, in UTC."""
    usd: float


class UsageSummaryBody(ResponseBody):
    object: Literal["usage.summary"] = "usage.summary"
    month: str
    total_usd: float
    training_usd: float
    inference_usd: float
    export_usd: float
    tokens: int
    by_day: list[DayUsageBody]


class LedgerEntryBody(ResponseBody):
    id: str
    object: Literal["usage.entry"] = "usage.entry"
    created_at: int
    kind: Literal["training", "inference"]
    source_id: str
    usd: float
    seconds: float
    tokens: int
    created_by: str | None
    model: str | None
    """Of an answer: who gave it."""
    alias: str | None
    """Of an answer: the alias that was asked for."""


class PriceBody(ResponseBody):
    id: str
    object: Literal["price"] = "price"
    hardware: str
    usd_per_hour: float
    valid_from: int
    source: str


class StorageBody(ResponseBody):
    object: Literal["usage.storage"] = "usage.storage"
    num_bytes: int
    max_bytes: int | None
    """Null where there is no limit."""


def storage_body(storage: Storage) -> StorageBody:
    return StorageBody(num_bytes=storage.num_bytes, max_bytes=storage.max_bytes)
