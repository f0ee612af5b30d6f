import threading
from collections import Counter
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from core.config import Settings
from core.monitoring import queues, workers
from core.monitoring.metrics.repository import MetricsRepository
from core.monitoring.metrics.types import Figures
from core.usage.models import LedgerKind


class LedgerTotals:
    """The sum of the ledger without reading all of it at each question: days that are over never change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed: Counter[LedgerKind] = Counter()
        self._closed_until = datetime.fromtimestamp(0, tz=UTC)

    def read(self, session: Session) -> Counter[LedgerKind]:
        """Micro-dollars by kind, ever. Needs a system session."""
        repository = MetricsRepository(session)
        with self._lock:
            until = repository.closed_until()
            if self._closed_until < until:
                self._closed += repository.ledger_micros(start=self._closed_until, end=until)
                self._closed_until = until
            return self._closed + repository.ledger_micros(start=until)


def read(session: Session, *, settings: Settings, ledger: LedgerTotals) -> Figures:
    """Everything at this moment. Needs a system session."""
    repository = MetricsRepository(session)
    return Figures(
        queues=tuple(queues.list_queues(session, settings=settings)),
        num_jobs=repository.num_jobs(),
        num_workers=Counter((view.worker.queue, view.status) for view in workers.list_workers(session)),
        num_attempts=repository.num_attempts(),
        waits_s=repository.waits_s(),
        runs_s=repository.runs_s(),
        ledger_micros=ledger.read(session),
        webhooks=repository.webhooks(),
    )
