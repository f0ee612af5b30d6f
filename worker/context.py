import threading
from dataclasses import dataclass, field

from core.backends.registry import Backends
from core.config import Settings
from core.db.session import Database
from worker.lease_keeper import LeaseKeeper


@dataclass(frozen=True, slots=True)
class WorkContext:
    """What a task works with."""

    settings: Settings
    database: Database
    backends: Backends
    worker_id: str
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when this process was told to end; what runs is then interrupted, and its job queued again."""
    keeper: LeaseKeeper | None = None
    """Keeps the lease of the job at hand while its task runs."""
