from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from core.jobs.kinds import JobKind, QueueName
from core.jobs.states import AttemptOutcome, JobState
from core.monitoring.types import QueueView, WorkerStatus
from core.usage.models import LedgerKind

QUANTILES: Final = (0.5, 0.95, 0.99)


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
