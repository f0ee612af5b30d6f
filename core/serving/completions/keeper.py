"""Stores answers after they were given, by a thread of its own: nobody waits for it, and no answer fails by it.

While the database is away answers wait in memory, up to a bound, and are tried again for minutes. What cannot be stored
by then, or when the process ends, is lost, and the log says which.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice, takewhile

import orjson
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.db.session import Database, workspace_scope
from core.db.sqlstates import is_lost_race, is_unavailable
from core.serving.completions import service
from core.serving.completions.types import NewCompletion
from core.serving.gate import Gate

logger = logging.getLogger(__name__)

_MAX_BYTES = 64 << 20
_PATIENCE_S = 600.0
_PAUSE_S = 2.0
_IDLE_S = 10.0
# in one transaction, of one workspace
_MAX_BATCH = 50


class CompletionKeeper:
    """`give` returns at once. Safe to share between threads."""

    def __init__(
        self,
        database: Database,
        *,
        gate: Gate,
        max_bytes: int = _MAX_BYTES,
        patience_s: float = _PATIENCE_S,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._database, self._gate = database, gate
        self._max_bytes, self._patience_s, self._pause_s = max_bytes, patience_s, pause_s
        self._pending: OrderedDict[str, NewCompletion] = OrderedDict()
        self._num_bytes = 0
        self.num_lost = 0
        """Since the process began; the log names each."""
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def give(self, completion: NewCompletion) -> None:
        num_bytes = _size(completion)
        with self._changed:
            if self._num_bytes + num_bytes > self._max_bytes:
                self.num_lost += 1
                logger.error("the answer %s is not kept: too many wait for the database", completion.id)
                return
            self._pending[completion.id] = completion
            self._num_bytes += num_bytes
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="keep-completions", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait_for(self, completion_id: str, *, timeout_s: float) -> bool:
        """Whether it is not, or no longer, on its way to the database."""
        return self._wait(lambda: completion_id not in self._pending, timeout_s)

    def flush(self, *, timeout_s: float, workspace_id: str | None = None) -> bool:
        """Wait until none that was given is on its way, or none of a workspace's; False if that took too long.

        What is given meanwhile is not waited for: somewhere an answer always is.
        """
        with self._changed:
            waiting = {
                one.id for one in self._pending.values() if workspace_id is None or one.workspace_id == workspace_id
            }
        return self._wait(lambda: waiting.isdisjoint(self._pending), timeout_s)

    def _wait(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(is_done, timeout=timeout_s)

    def _run(self) -> None:
        while batch := self._oldest():
            self._store_all(batch)
            with self._changed:
                for completion in batch:
                    del self._pending[completion.id]
                    self._num_bytes -= _size(completion)
                self._changed.notify_all()

    def _oldest(self) -> list[NewCompletion]:
        """The oldest, with those of its workspace that follow it. None when there was none for a while."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._pending, timeout=_IDLE_S):
                self._thread = None
                return []
            first = next(iter(self._pending.values()))
            following = takewhile(lambda one: one.workspace_id == first.workspace_id, self._pending.values())
            return list(islice(following, _MAX_BATCH))

    def _store_all(self, batch: Sequence[NewCompletion]) -> None:
        """In one transaction; if that fails each in its own, so that one that cannot be stored takes no other along."""
        if len(batch) > 1:
            try:
                self._keep(batch)
            except Exception as error:  # noqa: BLE001 - told by who tries it alone
                logger.warning("%d answers are kept one by one: %s", len(batch), type(error).__name__)
            else:
                return
        for completion in batch:
            self._store(completion)

    def _keep(self, batch: Sequence[NewCompletion]) -> None:
        """In one transaction: those that the gate withholds are dropped."""
        workspace_id = batch[0].workspace_id
        with self._database.session(workspace_scope(workspace_id)) as session:
            withholds = self._gate(session, workspace_id=workspace_id, since_s=min(one.asked_s for one in batch))
            for completion in batch:
                if withholds(completion.said, completion.asked_s):
                    logger.info("the answer %s is not kept, for somebody is forgotten", completion.id)
                else:
                    service.keep(session, completion)

    def _store(self, completion: NewCompletion) -> None:
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                self._keep([completion])
            except SQLAlchemyError as error:
                if not _may_pass(error) or time.monotonic() + self._pause_s > deadline:
                    name = type(error).__name__
                    self.num_lost += 1
                    logger.error("the answer %s could not be kept: %s", completion.id, name)  # noqa: TRY400 - its text may quote
                    return
                time.sleep(self._pause_s)
            except Exception:
                self.num_lost += 1
                logger.exception("the answer %s could not be kept", completion.id)
                return
            else:
                return


def _may_pass(error: SQLAlchemyError) -> bool:
    if isinstance(error, DBAPIError):
        return is_unavailable(error) or is_lost_race(error)
    return isinstance(error, PoolTimeout)


def _size(completion: NewCompletion) -> int:
    return len(orjson.dumps([completion.messages, completion.parameters, completion.answer]))
