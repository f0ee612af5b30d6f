from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventType(StrEnum):
    """What is told. To add one: a line here, and a call of `service.emit` in the transaction of the deed."""

    JOB_SUCCEEDED = "fine_tuning.job.succeeded"
    JOB_FAILED = "fine_tuning.job.failed"
    JOB_CANCELLED = "fine_tuning.job.cancelled"


class DeliveryState(StrEnum):
    PENDING = "pending"
    """Due at `next_attempt_at`, or being sent."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """Given up: tried often enough, or its endpoint was switched off. It can be sent again by hand."""


class DisabledReason(StrEnum):
    BY_ADMIN = "by_admin"
    GONE = "gone"
    """The other side answered 410."""
    FAILING = "failing"
    """Nothing arrived for days."""


# The waits before each try, of the Standard Webhooks specification: the last one is about 76 hours after the first.
SCHEDULE_S: Final[Sequence[float]] = (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
DISABLED_AFTER_S: Final = 3 * 24 * 3600.0
TIMEOUT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Parcel:
    """One try at a delivery: all that sending it needs, without a session."""

    delivery_id: str
    workspace_id: str
    endpoint_id: str
    attempt: int
    """The fencing number: what a later claim of the same delivery overtook is not written down."""
    event_id: str
    url: str
    body: str
    sealed_secrets: Sequence[str]
    """The present one, and the one before it while that still counts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one try."""

    status_code: int | None
    """None if there was no answer, and then `error` says why."""
    error: str | None
    answer: str | None
    """The beginning of it, without secrets."""
    duration_ms: int
    retry_after_s: float | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status_code is not None and self.status_code // 100 == 2  # noqa: PLR2004 - any 2xx
