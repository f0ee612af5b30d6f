"""One worker process: one thread that works, and everything else only wakes it.

A doorbell from Celery, the poll, and the start all set the same event; the working thread then claims and works until
nothing is due. So at most one job runs at a time, doubled doorbells are harmless, and without Redis work goes on at the
pace of the poll.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

from celery import Celery
from celery.worker import state as celery_state
from sqlalchemy.exc import SQLAlchemyError

from core.backends.queue import TASK_NAME, celery_app
from core.config import Settings
from core.db.session import SYSTEM, workspace_scope
from core.jobs import service as jobs
from core.workers import service as workers
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import error_of
from core.jobs.kinds import QueueName
from core.jobs.states import TERMINAL, AttemptOutcome, JobState
from core.jobs.types import Lease
from worker.context import WorkContext
from worker.lease_keeper import LeaseKeeper
from worker.reconcile import reconcile
from worker.supervise import JobCancelled, JobInterrupted, LeaseLost
from worker.tasks.registry import Handlers, handler_of

logger = logging.getLogger(__name__)

_STOP_TIMEOUT_S = 60
_BELL_STOP_TIMEOUT_S = 3
_RESTART_AFTER_S = 5


class WorkerProcess:
    def __init__(self, context: WorkContext, queue_name: QueueName, *, handlers: Handlers = handler_of) -> None:
        self._context = context
        self._queue_name = queue_name
        self._handlers = handlers
        self._wake = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="work", daemon=True),
            threading.Thread(target=self._reconcile, name="reconcile", daemon=True),
            threading.Thread(target=self._listen, name="doorbell", daemon=True),
        ]

    def start(self) -> None:
        celery_state.should_stop = None
        for thread in self._threads:
            thread.start()
        logger.info("worker %s serves the queue %s", self._context.worker_id, self._queue_name)

    def stop(self) -> None:
        """Interrupt what runs, give its job back, end. Returns when that is done."""
        self._context.stopping.set()
        self._wake.set()
        celery_state.should_stop = os.EX_OK  # type: ignore[assignment]  # typed by its start
        self._threads[0].join(timeout=_STOP_TIMEOUT_S)
        self._threads[2].join(timeout=_BELL_STOP_TIMEOUT_S)
        try:
            with self._context.database.session(SYSTEM) as session:
                workers.leave(session, worker_id=self._context.worker_id)
        except SQLAlchemyError as error:
            # its heartbeat ends with it, so others will drop it
            logger.warning("worker %s could not sign off: %s", self._context.worker_id, error)

    def wake(self) -> None:
        self._wake.set()

    def _work(self) -> None:
        stopping = self._context.stopping
        while not stopping.is_set():
            self._wake.clear()
            _survive("claiming work failed; the next poll tries again", self._work_until_empty)
            self._wake.wait(self._context.settings.reconcile_interval_s)

    def _work_until_empty(self) -> None:
        while not self._context.stopping.is_set() and work_once(self._context, self._queue_name, self._handlers):
            pass

    def _reconcile(self) -> None:
        while not self._context.stopping.is_set():
            _survive("reconciling failed; the next round tries again", self._reconcile_once)
            self._context.stopping.wait(self._context.settings.reconcile_interval_s)

    def _reconcile_once(self) -> None:
        with self._context.database.session(SYSTEM) as session:
            workers.beat(
                session,
                worker_id=self._context.worker_id,
                hostname=socket.gethostname(),
                queue_name=self._queue_name,
                pid=os.getpid(),
                version=_version(),
            )
        reconcile(self._context.database, self._context.backends, handlers=self._handlers)

    def _listen(self) -> None:
        while not self._context.stopping.is_set():
            _survive("the doorbell failed and is started again", self._listen_once)
            self._context.stopping.wait(_RESTART_AFTER_S)

    def _listen_once(self) -> None:
        worker = doorbell(self._context.settings, self.wake).Worker(
            hostname=f"{self._context.worker_id}@{socket.gethostname()}",
            queues=[self._queue_name.value],
            pool="solo",
            without_mingle=True,
            without_gossip=True,
            without_heartbeat=True,
            redirect_stdouts=False,
            quiet=True,
            loglevel="WARNING",
        )
        try:
            worker.start()
        except SystemExit:
            # Celery's way to end; in this thread it would end the bell for good, and silently
            logger.info("the doorbell stopped")


def work_once(context: WorkContext, queue_name: QueueName, handlers: Handlers = handler_of) -> bool:
    """Claim one job and do it; False if none is due."""
    with context.database.session(SYSTEM) as session:
        lease = jobs.claim(
            session, queue_name=queue_name, worker_id=context.worker_id, lease_s=context.settings.lease_s
        )
    if lease is None:
        return False
    logger.info("job %s (%s), attempt %d", lease.job_id, lease.kind, lease.attempt)
    started_at = time.monotonic()
    with LeaseKeeper(context.settings, context.database, context.backends.events, lease) as keeper:
        _run(replace(context, keeper=keeper), lease, handlers)
    logger.info("job %s, attempt %d, ended after %.1f s", lease.job_id, lease.attempt, time.monotonic() - started_at)
    return True


def doorbell(settings: Settings, wake: Callable[[], None]) -> Celery:
    """A Celery whose one task does nothing but wake the working thread."""
    app = celery_app(settings)
    app.conf.update(worker_enable_remote_control=False, worker_send_task_events=False)

    @app.task(name=TASK_NAME, shared=False)
    def work(job_id: str) -> None:
        del job_id  # whose turn it is, the database says
        wake()

    return app


def _run(context: WorkContext, lease: Lease, handlers: Handlers) -> None:
    try:
        handlers(lease.kind).run(context, lease)
    except LeaseLost:
        logger.warning("job %s, attempt %d: the lease is lost; nothing is published", lease.job_id, lease.attempt)
    except JobCancelled:
        _give_up(context, lease, handlers, AttemptOutcome.CANCELLED)
    except JobInterrupted:
        _give_up(context, lease, handlers, AttemptOutcome.INTERRUPTED)
    except Exception:
        logger.exception("job %s, attempt %d failed", lease.job_id, lease.attempt)
        _give_up(context, lease, handlers, AttemptOutcome.RETRIED)
    else:
        # a no-op for a task that finished its job, as it must
        _give_up(context, lease, handlers, AttemptOutcome.RETRIED)


def _give_up(context: WorkContext, lease: Lease, handlers: Handlers, outcome: AttemptOutcome) -> None:
    with context.database.session(workspace_scope(lease.workspace_id)) as session:
        state: JobState | None
        if outcome is AttemptOutcome.CANCELLED:
            is_ours = jobs.finish(session, lease, JobState.CANCELLED, bus=context.backends.events)
            state = JobState.CANCELLED if is_ours else None
        else:
            error = error_of(ExitCode.BUG) if outcome is AttemptOutcome.RETRIED else None
            state = jobs.requeue(session, lease, outcome=outcome, error=error, bus=context.backends.events)
        if state in TERMINAL:
            job = jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
            handlers(lease.kind).settle(session, job)


def _survive(message: str, step: Callable[[], object]) -> None:
    """An edge: this process outlives what it depends on."""
    try:
        step()
    except SQLAlchemyError as error:
        logger.warning("%s: %s", message, error)
    except Exception:
        logger.exception(message)


def _version() -> str:
    try:
        return version("tailorbird")
    except PackageNotFoundError:
        return "not installed"
