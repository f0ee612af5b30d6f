import sys
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
    draining_now: threading.Event = field(default_factory=threading.Event)
    """Set while an admin wants this worker to hand back what it works on, though the process lives on."""
    keeper: LeaseKeeper | None = None
    """Keeps the lease of the job at hand while its task runs."""
    trainer_argv: tuple[str, ...] = (sys.executable, "-m", "worker.training")
    """What trains: it is given a run folder, and keeps the contract of `docs/jobs.md`."""

    @property
    def is_handing_back(self) -> bool:
        """Whatever runs is to be interrupted."""
        return self.stopping.is_set() or self.draining_now.is_set()
