"""A worker tells of itself, and is told whether it may claim, in a thread of its own: a long job delays neither.

A drained worker does not end. Whatever started it (the supervisor of `tailorbird up`, a container engine) would start
it again, and the new one would know nothing of the drain; and what is idle can be taken back. See docs/adr/0009.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import psutil
from sqlalchemy.exc import SQLAlchemyError

from core.config import environment_of_children
from core.db.connection import answer_within
from core.db.session import SYSTEM
from core.jobs.kinds import QueueName
from core.workers import hardware
from core.workers import service as workers
from core.workers.types import DrainMode, Orders, Vitals
from worker.context import WorkContext

logger = logging.getLogger(__name__)

_PATIENCE_S = 5.0
_TOGETHER_S = 0.3


class Heartbeat:
    def __init__(self, context: WorkContext, queue_name: QueueName, *, wake: Callable[[], None]) -> None:
        self._context = context
        self._queue_name = queue_name
        self._wake = wake
        self._visible = environment_of_children().get("CUDA_VISIBLE_DEVICES")
        self._job_id: str | None = None
        self._num_jobs_done = 0
        self._orders: Orders | None = None
        self._changed = threading.Event()

    @property
    def is_let_in(self) -> bool:
        return self._orders is not None and self._orders.is_let_in

    @property
    def may_claim(self) -> bool:
        """Only once it was let in, and not while it is drained."""
        return self._orders is not None and self._orders.is_let_in and self._orders.drain is None

    @contextmanager
    def at_work_on(self, job_id: str) -> Iterator[None]:
        self._job_id = job_id
        self._changed.set()
        try:
            yield
        finally:
            self._job_id = None
            self._num_jobs_done += 1
            self._changed.set()

    def run(self) -> None:
        """Until the process ends. A change of what it does is told at once."""
        while not self._context.stopping.is_set():
            self._changed.clear()
            try:
                self.beat()
            except SQLAlchemyError as error:
                logger.warning("the worker's heartbeat failed: %s", error)
                self._context.stopping.wait(min(1.0, self._context.settings.heartbeat_s))
            except Exception:
                logger.exception("the worker's heartbeat failed")
            self._changed.wait(self._context.settings.heartbeat_s)
            # a burst of small jobs is told of together
            self._context.stopping.wait(min(_TOGETHER_S, self._context.settings.heartbeat_s))

    def end(self) -> None:
        self._changed.set()

    def beat(self) -> None:
        settings = self._context.settings
        known = None if self._orders is None else self._orders.drain
        with answer_within(_PATIENCE_S), self._context.database.session(SYSTEM) as session:
            orders = workers.beat(
                session,
                worker_id=self._context.worker_id,
                hostname=socket.gethostname(),
                queue_name=self._queue_name,
                pid=os.getpid(),
                version=_version(),
                vitals=self._vitals(),
                token=settings.worker_token,
                is_token_required=settings.mode == "production",
                drain_mode=known,
            )
        self._obey(orders)

    def _obey(self, orders: Orders) -> None:
        before, self._orders = self._orders, orders
        must_hand_back = not orders.is_let_in or orders.drain is DrainMode.NOW
        if must_hand_back:
            self._context.draining_now.set()
        else:
            self._context.draining_now.clear()
        if before == orders:
            return
        if not orders.is_let_in:
            logger.error(
                "this worker is not let in: its token (TAILORBIRD_WORKER_TOKEN) is missing, unknown or revoked. "
                "Have an admin make one, and start the worker with it."
            )
        elif orders.drain is not None:
            logger.warning("drained (%s): this worker claims no more until that is taken back", orders.drain)
        elif before is not None:
            logger.info("this worker claims jobs again")
        self._wake()

    def _vitals(self) -> Vitals:
        devices = hardware.gpus(self._visible) if self._queue_name is QueueName.GPU else []
        memory = psutil.virtual_memory()
        return Vitals(
            hardware=hardware.key_of(devices),
            devices=tuple(devices),
            memory_bytes=memory.total,
            used_memory_bytes=memory.total - memory.available,
            job_id=self._job_id,
            num_jobs_done=self._num_jobs_done,
        )


def _version() -> str:
    try:
        return version("tailorbird")
    except PackageNotFoundError:
        return "not installed"
