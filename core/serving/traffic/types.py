from dataclasses import dataclass
from datetime import date
from typing import Final

from core.serving.completions.types import Outcome

MAX_DAYS: Final = 30
"""So far back traffic is told."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A question that was answered, or was not."""

    id: str
    workspace_id: str
    model: str
    alias: str | None
    outcome: Outcome
    error_code: str | None
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds: as fast as half of them, and as all but one in twenty."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class DayTraffic:
    date: date
    """In UTC."""
    num_requests: int = 0
    num_failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    num_requests: int
    num_failed: int
    num_cancelled: int
    prompt_tokens: int
    completion_tokens: int
    first_token: Latency | None
    """Of all that came to words."""
    whole_answer: Latency | None
    """Of those that came to their end."""


@dataclass(frozen=True, slots=True)
class Traffic:
    totals: Totals
    errors: tuple[tuple[str, int], ...]
    """The most frequent codes of errors, and how often each."""
    by_day: tuple[DayTraffic, ...]
    """Every day, also those on which nobody asked; the last is today."""
