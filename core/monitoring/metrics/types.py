from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import AttemptOutcome, JobState
from core.monitoring.types import QueueView, WorkerStatus
from core.usage.models import LedgerKind

QUANTILES: Final = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    num_pending: int
    """Deliveries that are still to be made, to endpoints that are switched on."""
    oldest_due_s: float
    """How long the one is due that is due longest; 0 if none is."""
    num_disabled: int
    """Endpoints that were switched off because nothing arrived there."""


@dataclass(frozen=True, slots=True)
class Figures:
    queues: tuple[QueueView, ...]
    num_jobs: Mapping[tuple[QueueName, JobState], int]
    num_workers: Mapping[tuple[QueueName, WorkerStatus], int]
    num_attempts: Mapping[tuple[JobKind, AttemptOutcome], int]
    """That ended, ever."""
    waits_s: Mapping[QueueName, tuple[float, ...]]
    """Of the claims of the last hour, at each of `QUANTILES`."""
    runs_s: Mapping[JobKind, tuple[float, ...]]
    """Of the attempts that ended in the last hour, at each of `QUANTILES`."""
    ledger_micros: Mapping[LedgerKind, int]
    webhooks: WebhookFigures
