from dataclasses import dataclass
from datetime import datetime

from core.adapters.models import Adapter
from core.jobs.models import Job
from core.jobs.types import QueueOutlook
from core.training.models import Run


@dataclass(frozen=True, slots=True)
class RunDetails:
    """A run with all that is told about it: its job, its data's name, the adapter it made, its place in the queue."""

    run: Run
    job: Job
    dataset_name: str | None
    adapter: Adapter | None
    outlook: QueueOutlook | None = None


@dataclass(frozen=True, slots=True)
class RunFilter:
    """`metadata` pairs that a run must have; `has_no_metadata` asks for runs without any."""

    metadata: dict[str, str] | None = None
    has_no_metadata: bool = False


@dataclass(frozen=True, slots=True)
class RunTerms:
    """When a run may be done and what it may cost. Unlike its request these can be changed later."""

    priority: int = 0
    start_after: datetime | None = None
    max_cost_micros: int | None = None
