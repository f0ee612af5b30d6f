"""What happens in an arena is told to a webhook of each workspace, so that every drill also tries the outbox."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from sqlalchemy import text

from core.backends.outbound import OutboundClient
from core.config import Settings
from core.db.session import SYSTEM, Database, workspace_scope
from core.kit.sealing import Sealer
from core.kit.ssrf import Rules
from core.webhooks import service
from core.webhooks.types import EventType
from core.workspaces.principal import Principal
from tests.factories.backends import memory_backends
from tests.factories.receiver import Received, Receiver, receiver
from worker.context import WorkContext
from worker.courier import Courier

# a place of its own on loopback, which alone may be called
HOST = "127.0.0.9"
_DRAINED_S = 30.0
# what nobody came for yet, and what a killed worker held: neither the schedule nor the lease is what a drill is about
_DUE_NOW = "update webhook_deliveries set next_attempt_at = now(), lease_expires_at = null where state = 'pending'"
_NUM_PENDING = "select count(*) from webhook_deliveries where state = 'pending'"


class ArenaWebhooks:
    """A receiver on loopback, and whoever sends to it once the workers of the drill have ended."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._stack = ExitStack()
        self.receiver: Receiver = self._stack.enter_context(receiver(HOST))
        self.secrets: dict[str, str] = {}
        """By workspace."""

    def add(self, principal: Principal) -> None:
        """Have all that happens in the workspace told to the receiver."""
        sealer = Sealer.of_settings(self._settings.encryption_keys, self._settings.secret_key)
        with self._database.session(workspace_scope(principal.workspace_id)) as session:
            endpoint = service.create(
                session,
                principal=principal,
                name="drill",
                url=self.receiver.url,
                event_types=list(EventType),
                sealer=sealer,
            )
            self.secrets[principal.workspace_id] = service.secret_of(endpoint, sealer)

    @property
    def received(self) -> Sequence[Received]:
        return tuple(self.receiver.requests)

    def drain(self) -> None:
        """Send what waits, as the courier of an `io` worker does."""
        if self._rows(_NUM_PENDING) == 0:
            return
        outbound = OutboundClient(Rules.parse(allow=HOST, ports="443", needs_https=True))
        backends = replace(memory_backends(), outbound=outbound)
        context = WorkContext(self._settings, self._database, backends, "drainer", stopping=threading.Event())
        with self._database.session(SYSTEM) as session:
            session.execute(text(_DUE_NOW))
        courier = Courier(context)
        courier.start()
        try:
            deadline = time.monotonic() + _DRAINED_S
            while self._rows(_NUM_PENDING) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            context.stopping.set()
            courier.join()

    def close(self) -> None:
        self._stack.close()

    def _rows(self, query: str) -> int:
        with self._database.session(SYSTEM) as session:
            return int(session.scalar(text(query)) or 0)
