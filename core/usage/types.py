from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class DayUsage:
    date: date
    amount_micros: int


@dataclass(frozen=True, slots=True)
class MonthSummary:
    month: str
    """Such as `2026-11`, in UTC."""
    total_micros: int
    training_micros: int
    inference_micros: int
    export_micros: int
    tokens: int
    by_day: tuple[DayUsage, ...]
    """Days with usage only, in order."""
