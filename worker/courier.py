"""Sends webhooks, beside the jobs of an `io` worker: many at once, each in a thread that mostly waits for an answer.

They are leased rows like jobs, and not jobs: docs/adr/0013 says why. Nothing rings for them; a look at the outbox every
second is one indexed statement.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy.exc import SQLAlchemyError

from core.db.connection import answer_within
from core.db.session import SYSTEM, workspace_scope
from core.kit.sealing import Sealer, Unsealable
from core.webhooks import deliveries, notices, sending
from core.webhooks.types import TIMEOUT_S, Outcome, Parcel
from worker.context import WorkContext
from worker.lease_keeper import AWAY

logger = logging.getLogger(__name__)

NUM_SLOTS = 16
_LOOK_EVERY_S = 1.0
_PATIENCE_S = 5.0
_RECORD_AGAIN_S = 1.0
_PUT_OFF_S = 60.0
_SWEEP_EVERY_S = 3600.0
# when a try is written down no more, because its lease may be over
_RECORD_FOR_S = deliveries.LEASE_S - TIMEOUT_S - 10
_RECORD_AT_THE_END_S = 5.0


class Courier:
    """`may_claim` says whether this worker is let in and not drained."""

    def __init__(self, context: WorkContext, *, may_claim: Callable[[], bool] = lambda: True) -> None:
        self._context = context
        self._may_claim = may_claim
        self._sealer = Sealer.of_settings(context.settings.encryption_keys, context.settings.secret_key)
        self._pool = ThreadPoolExecutor(NUM_SLOTS, thread_name_prefix="webhook")
        self._free = threading.Semaphore(NUM_SLOTS)
        self._wake = threading.Event()
        self._sweep_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)

    def start(self) -> None:
        """Work until the context is stopping."""
        self._thread.start()

    def join(self) -> None:
        """Once it is: wait until what is under way was answered, or gave up, and is written down."""
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True)

    def _run(self) -> None:
        while not self._context.stopping.is_set():
            self._wake.clear()
            try:
                if self._may_claim():
                    self._send_what_is_due()
                    self._sweep()
            except SQLAlchemyError as error:
                logger.warning("looking for webhooks failed; the next look tries again: %s", error)
            except Exception:
                logger.exception("looking for webhooks failed; the next look tries again")
            self._wake.wait(_LOOK_EVERY_S)

    def _send_what_is_due(self) -> None:
        num_free = 0
        while self._free.acquire(blocking=False):
            num_free += 1
        parcels: list[Parcel] = []
        try:
            if num_free:
                with answer_within(_PATIENCE_S), self._context.database.session(SYSTEM) as session:
                    parcels = deliveries.claim(session, num=num_free)
        finally:
            for _ in range(num_free - len(parcels)):
                self._free.release()
        for parcel in parcels:
            self._pool.submit(self._deliver, parcel)

    def _sweep(self) -> None:
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + _SWEEP_EVERY_S
        with self._context.database.session(SYSTEM) as session:
            num = deliveries.sweep(session, days=self._context.settings.webhook_log_days)
        if num:
            logger.info("%d webhook deliveries of long ago were forgotten", num)

    def _deliver(self, parcel: Parcel) -> None:
        try:
            self._record(parcel, self._try(parcel))
        except Unsealable as error:
            logger.warning("the secret of webhook %s cannot be opened here: %s", parcel.endpoint_id, error)
            self._put_off(parcel)
        except Exception:
            # its lease runs out, and it is sent again under the same id
            logger.exception("a delivery of webhook %s was not written down", parcel.endpoint_id)
        finally:
            self._free.release()
            # there may be more that waited for this place
            self._wake.set()

    def _try(self, parcel: Parcel) -> Outcome:
        try:
            return sending.send(parcel, outbound=self._context.backends.outbound, sealer=self._sealer)
        except Unsealable:
            raise
        except Exception:
            # it counts as a try, or one that breaks us would be tried for ever
            logger.exception("a delivery of webhook %s broke", parcel.endpoint_id)
            return Outcome(
                status_code=None, error="It could not be sent, by a mistake of ours.", answer=None, duration_ms=0
            )

    def _record(self, parcel: Parcel, outcome: Outcome) -> None:
        """As soon as the database is there, if that is before somebody else may send it."""
        began = time.monotonic()
        while True:
            try:
                with (
                    answer_within(_PATIENCE_S),
                    self._context.database.session(workspace_scope(parcel.workspace_id)) as session,
                ):
                    reason = deliveries.record(session, parcel, outcome)
                    if reason is not None:
                        notices.tell_switched_off(
                            session,
                            workspace_id=parcel.workspace_id,
                            endpoint_id=parcel.endpoint_id,
                            reason=reason,
                            mailer=self._context.backends.mail,
                            public_url=self._context.settings.public_url,
                        )
            except AWAY:
                patience_s = _RECORD_AT_THE_END_S if self._context.stopping.is_set() else _RECORD_FOR_S
                if time.monotonic() - began > patience_s:
                    raise
                time.sleep(_RECORD_AGAIN_S)
            else:
                return

    def _put_off(self, parcel: Parcel) -> None:
        with answer_within(_PATIENCE_S), self._context.database.session(SYSTEM) as session:
            deliveries.put_off(session, parcel, seconds=_PUT_OFF_S)
