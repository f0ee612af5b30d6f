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
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from celery import Celery
from celery.signals import setup_logging
from celery.worker import state as celery_state
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core.backends.queue import TASK_NAME, celery_app
from core.config import Settings
from core.db.connection import answer_within
from core.db.session import SYSTEM, workspace_scope
from core.jobs import service as jobs
from core.jobs.exit_codes import ExitCode
from core.jobs.failures import FAILURES, error_from, error_of
from core.jobs.kinds import QueueName
from core.jobs.states import TERMINAL, AttemptOutcome, Blame, JobState
from core.jobs.types import Lease
from core.kit.logs import logged_as
from core.workers import service as workers
from worker.base_model_supply import BaseModelMissing, fetch
from worker.context import WorkContext
from worker.courier import Courier
from worker.heartbeat import Heartbeat
from worker.lease_keeper import LeaseKeeper
from worker.reconcile import reconcile
from worker.supervise import JobCancelled, JobInterrupted, JobPaused, LeaseLost
from worker.tasks.patience import as_long_as_ours
from worker.tasks.registry import Handlers, handler_of
from worker.tasks.sweeping import Sweeper

logger = logging.getLogger(__name__)

# Celery would set the level of all logging to that of its own
setup_logging.connect(lambda **_: None, weak=False)

# beside the time that the child is given: its last checkpoint is stored, and its job given back
_STOP_TIMEOUT_S = 25
_BELL_STOP_TIMEOUT_S = 3
_LET_IN_SOON_S = 0.2
_CLAIM_PATIENCE_S = 10.0
_RESTART_AFTER_S = 5


class WorkerProcess:
    def __init__(self, context: WorkContext, queue_name: QueueName, *, handlers: Handlers = handler_of) -> None:
        self._context = context
        self._queue_name = queue_name
        self._handlers = handlers
        self._wake = threading.Event()
        self._sweeper = Sweeper(
            context.database,
            context.backends.blobs,
            context.settings.runs_dir.resolve(),
            completions_days=context.settings.stored_completions_days,
        )
        self._heartbeat = Heartbeat(context, queue_name, wake=self.wake)
        self._courier = self._make_courier()
        self._working = threading.Thread(target=self._work, name="work", daemon=True)
        self._listening = threading.Thread(target=self._listen, name="doorbell", daemon=True)
        self._beating = threading.Thread(target=self._heartbeat.run, name="heartbeat", daemon=True)
        self._reconciling = threading.Thread(target=self._reconcile, name="reconcile", daemon=True)

    def start(self) -> None:
        celery_state.should_stop = None
        for thread in (self._beating, self._working, self._reconciling, self._listening):
            thread.start()
        if self._courier is not None:
            self._courier.start()
        logger.info("worker %s serves the queue %s", self._context.worker_id, self._queue_name)

    def stop(self) -> None:
        """Interrupt what runs, give its job back, end. Returns when that is done."""
        self._context.stopping.set()
        self._wake.set()
        self._heartbeat.end()
        celery_state.should_stop = os.EX_OK  # type: ignore[assignment]  # typed by its start
        self._working.join(timeout=self._context.settings.kill_grace_s + _STOP_TIMEOUT_S)
        if self._courier is not None:
            self._courier.join()
        self._listening.join(timeout=_BELL_STOP_TIMEOUT_S)
        self._beating.join(timeout=_BELL_STOP_TIMEOUT_S)
        try:
            with answer_within(_BELL_STOP_TIMEOUT_S), self._context.database.session(SYSTEM) as session:
                workers.leave(session, worker_id=self._context.worker_id)
        except SQLAlchemyError as error:
            # its heartbeat ends with it, so others will drop it
            logger.warning("worker %s could not sign off: %s", self._context.worker_id, error)

    def wake(self) -> None:
        self._wake.set()

    def _make_courier(self) -> Courier | None:
        """Only where uploads are read, beside the api: what trains elsewhere has no key that opens secrets."""
        if self._queue_name is not QueueName.IO:
            return None
        if not self._context.settings.has_sealing_key:
            logger.info("this worker sends no webhooks: it has no encryption key")
            return None
        return Courier(self._context, may_claim=lambda: self._heartbeat.may_claim)

    def _work(self) -> None:
        stopping = self._context.stopping
        while not stopping.is_set():
            self._wake.clear()
            _survive("claiming work failed; the next poll tries again", self._work_until_empty)
            self._wake.wait(self._context.settings.reconcile_interval_s)

    def _work_until_empty(self) -> None:
        while not self._context.stopping.is_set() and self._heartbeat.may_claim:
            if not work_once(self._context, self._queue_name, self._handlers, while_at_it=self._heartbeat.at_work_on):
                return

    def _reconcile(self) -> None:
        interval_s = self._context.settings.reconcile_interval_s
        while not self._context.stopping.is_set():
            # one that is not let in gives nobody's job away either
            if self._heartbeat.is_let_in:
                _survive("reconciling failed; the next round tries again", self._reconcile_once)
            self._context.stopping.wait(interval_s if self._heartbeat.is_let_in else min(interval_s, _LET_IN_SOON_S))

    def _reconcile_once(self) -> None:
        reaped = reconcile(self._context.database, self._context.backends, handlers=self._handlers)
        self._sweeper.tick(is_leading=reaped is not None)

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


def work_once(
    context: WorkContext,
    queue_name: QueueName,
    handlers: Handlers = handler_of,
    *,
    while_at_it: Callable[[str], AbstractContextManager[None]] | None = None,
) -> bool:
    """Claim one job and do it; False if none is due, or this machine cannot do the one that was."""
    settings = context.settings
    asked_at = time.monotonic()
    with answer_within(_CLAIM_PATIENCE_S), context.database.session(SYSTEM) as session:
        lease = jobs.claim(
            session,
            queue_name=queue_name,
            worker_id=context.worker_id,
            lease_s=settings.lease_s,
            max_running=settings.max_running_per_workspace,
        )
    if lease is None:
        return False
    with logged_as(lease.job_id, lease.workspace_id):
        logger.info("job %s (%s), attempt %d", lease.job_id, lease.kind, lease.attempt)
        keeper = LeaseKeeper(settings, context.database, context.backends.events, lease, asked_at=asked_at)
        with while_at_it(lease.job_id) if while_at_it else nullcontext(), keeper:
            is_fit = _run(replace(context, keeper=keeper), lease, handlers)
        logger.info("job %s, attempt %d, ended after %.1f s", lease.job_id, lease.attempt, time.monotonic() - asked_at)
    return is_fit


def doorbell(settings: Settings, wake: Callable[[], None]) -> Celery:
    """A Celery whose one task does nothing but wake the working thread."""
    app = celery_app(settings)
    app.conf.update(worker_enable_remote_control=False, worker_send_task_events=False)

    @app.task(name=TASK_NAME, shared=False)
    def work(job_id: str) -> None:
        del job_id  # whose turn it is, the database says
        wake()

    return app


def _run(context: WorkContext, lease: Lease, handlers: Handlers) -> bool:
    """False if this machine lacks what the job needs."""
    give_up = partial(_give_up, context, lease, handlers)
    try:
        _run_with_its_base_model(context, lease, handlers)
    except LeaseLost:
        logger.warning("job %s, attempt %d: the lease is lost; nothing is published", lease.job_id, lease.attempt)
    except JobCancelled:
        give_up(lambda session: _cancel(session, lease, context))
    except JobPaused as stopped:
        budget = error_from(FAILURES["budget_reached"]) if stopped.reason == "budget" else None
        blame = None if budget is None else Blame.BUDGET
        give_up(lambda session: jobs.pause(session, lease, error=budget, blame=blame, bus=context.backends.events))
    except JobInterrupted:
        give_up(_requeue(context, lease, AttemptOutcome.INTERRUPTED))
    except BaseModelMissing:
        # its attempt is forgiven, and this worker looks away for a moment, so that another may take it
        give_up(_requeue(context, lease, AttemptOutcome.INTERRUPTED))
        return False
    except Exception:
        logger.exception("job %s, attempt %d failed", lease.job_id, lease.attempt)
        give_up(_requeue(context, lease, AttemptOutcome.RETRIED))
    else:
        # a no-op for a task that finished its job, as it must
        give_up(_requeue(context, lease, AttemptOutcome.RETRIED))
    return True


def _run_with_its_base_model(context: WorkContext, lease: Lease, handlers: Handlers) -> None:
    try:
        handlers(lease.kind).run(context, lease)
    except BaseModelMissing as missing:
        if not fetch(context, lease, missing.model_id):
            raise
        handlers(lease.kind).run(context, lease)


def _requeue(context: WorkContext, lease: Lease, outcome: AttemptOutcome) -> Callable[[Session], JobState | None]:
    error = error_of(ExitCode.BUG) if outcome is AttemptOutcome.RETRIED else None
    return lambda session: jobs.requeue(session, lease, outcome=outcome, error=error, bus=context.backends.events)


def _cancel(session: Session, lease: Lease, context: WorkContext) -> JobState | None:
    is_ours = jobs.finish(session, lease, JobState.CANCELLED, bus=context.backends.events)
    return JobState.CANCELLED if is_ours else None


def _give_up(context: WorkContext, lease: Lease, handlers: Handlers, end: Callable[[Session], JobState | None]) -> None:
    def enter() -> None:
        with context.database.session(workspace_scope(lease.workspace_id)) as session:
            if end(session) in TERMINAL:
                job = jobs.get(session, workspace_id=lease.workspace_id, job_id=lease.job_id)
                handlers(lease.kind).settle(session, job)

    as_long_as_ours(context, enter, what=f"the end of job {lease.job_id}")


def _survive(message: str, step: Callable[[], object]) -> None:
    """An edge: this process outlives what it depends on."""
    try:
        step()
    except SQLAlchemyError as error:
        logger.warning("%s: %s", message, error)
    except Exception:
        logger.exception(message)
