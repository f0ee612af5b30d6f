from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from time import monotonic
from typing import Any, Final

MIN_LOGGED_DAYS: Final = 1
MAX_LOGGED_DAYS: Final = 365
DEFAULT_LOGGED_DAYS: Final = 30


class Origin(StrEnum):
    """Why an answer is kept."""

    STORED = "stored"
    """The request asked for it."""
    LOGGED = "logged"
    """The workspace's request log is on."""


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """Who asked hung up."""


@dataclass(frozen=True, slots=True)
class LogRule:
    """What a workspace's request log does."""

    is_on: bool = False
    retention_days: int = DEFAULT_LOGGED_DAYS
    is_masked: bool = True


@dataclass(frozen=True, slots=True)
class LogChange:
    """What is None stays as it is."""

    is_on: bool | None = None
    retention_days: int | None = None
    is_masked: bool | None = None

    def of(self, now: LogRule) -> LogRule:
        return LogRule(
            is_on=now.is_on if self.is_on is None else self.is_on,
            retention_days=now.retention_days if self.retention_days is None else self.retention_days,
            is_masked=now.is_masked if self.is_masked is None else self.is_masked,
        )


@dataclass(frozen=True, slots=True)
class NewCompletion:
    """An answer to keep."""

    id: str
    workspace_id: str
    created_by: str | None
    model: str
    messages: list[Any]
    parameters: dict[str, Any]
    answer: dict[str, Any]
    metadata: dict[str, str]
    origin: Origin = Origin.STORED
    outcome: Outcome = Outcome.SUCCEEDED
    served_model: str | None = None
    release: int | None = None
    api_key_id: str | None = None
    latency_ms: int | None = None
    error_code: str | None = None
    is_masked: bool = False
    """Personal data is taken out before it is written."""
    asked_s: float = field(default_factory=monotonic)
    """When the question came, by `time.monotonic()`."""

    @property
    def said(self) -> list[Any]:
        """All that somebody said, before anything is taken out."""
        return [self.messages, self.parameters, self.answer, *self.metadata.keys(), *self.metadata.values()]


@dataclass(frozen=True, slots=True)
class CompletionFilter:
    """`metadata` pairs that an answer must have."""

    model: str | None = None
    """The name that was asked for, or the model that answered."""
    metadata: dict[str, str] = field(default_factory=dict)
    query: str | None = None
    origin: Origin | None = None
    outcome: Outcome | None = None
    after: datetime | None = None
    before: datetime | None = None
