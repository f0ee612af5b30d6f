"""Connections that say little and stay long: what uvicorn's HTTP protocol does not bound by itself.

- The head of a request must arrive whole within a time, however slowly its bytes drip in (slow loris).
- An answer that the client does not read is given up.
- One address has so many connections and no more; when there are too many in all, those go first that have not sent a
  whole request for longest, so that who does nothing makes room for who does something.

How fast a body must come is the business of `api.middleware.BodyLimit`.
"""

import asyncio
import logging
import resource
from collections import Counter
from typing import Any

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from api.client_address import ClientAddresses
from core.config import Settings
from core.kit.sites import site_of

logger = logging.getLogger(__name__)

_UNREAD_ANSWER_S = 60.0
# for the database, the queue, the object store, uploads on disk and the log
_OTHER_FILES = 200
_NOT_HTTP = orjson.dumps(
    {
        "error": {
            "message": "This is not a well-formed HTTP request, or its head is too long.",
            "type": "invalid_request_error",
            "param": None,
            "code": "invalid_http",
        }
    }
)


class Connections:
    """All open connections of this process."""

    def __init__(self, settings: Settings) -> None:
        self.header_timeout_s = settings.header_timeout_s
        self._max = min(settings.max_connections, _allow_files(settings.max_connections + _OTHER_FILES) - _OTHER_FILES)
        self._max_per_address = settings.max_connections_per_address
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._num_by_site: Counter[str] = Counter()
        # the longest first
        self._without_request: dict[GuardedProtocol, None] = {}

    def admit(self, protocol: "GuardedProtocol") -> bool:
        """Whether there is room; makes some if somebody is silent."""
        num = self._num_by_site[protocol.site]
        if num >= self._max_per_address and not self._addresses.is_trusted(protocol.address):
            logger.info("refused a connection: its address has %s", num)
            return False
        if self._num_by_site.total() >= self._max:
            silent = next(iter(self._without_request), None)
            if silent is None:
                logger.warning("refused a connection: all %s are busy", self._max)
                return False
            silent.end("others need the room")
        self._num_by_site[protocol.site] += 1
        return True

    def release(self, protocol: "GuardedProtocol") -> None:
        self._without_request.pop(protocol, None)
        self._num_by_site[protocol.site] -= 1
        if not self._num_by_site[protocol.site]:
            del self._num_by_site[protocol.site]

    def note_silence(self, protocol: "GuardedProtocol") -> None:
        self._without_request.setdefault(protocol)

    def note_request(self, protocol: "GuardedProtocol") -> None:
        self._without_request.pop(protocol, None)


class GuardedProtocol(H11Protocol):
    """Given to uvicorn as its `http`."""

    def __init__(self, *arguments: Any, connections: Connections, **keywords: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **keywords)
        self.address = self.site = "none"
        self._all = connections
        self._is_admitted = False
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        if self.client:
            self.address = self.client[0]
            self.site = site_of(self.address) or self.address
        self._is_admitted = self._all.admit(self)
        if not self._is_admitted:
            transport.abort()
            return
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer = _cancelled(self._timer)
        self._unread_timer = _cancelled(self._unread_timer)
        if self._is_admitted:
            self._all.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(_UNREAD_ANSWER_S, self.end, "its client does not read the answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_timer = _cancelled(self._unread_timer)

    def send_400_response(self, msg: str) -> None:
        """In the body that every other refusal has. Never kept alive: where the next request begins, nobody knows."""
        del msg
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            # half an answer is out, or the connection is done for
            self.transport.abort()
            return
        if self.cycle is not None:
            # whoever works on what came before it turned out to be none of HTTP
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_NOT_HTTP)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=_NOT_HTTP), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def end(self, why: str) -> None:
        if not self.transport.is_closing():
            logger.info("closed a connection: %s", why)
        self._all.note_request(self)
        self.transport.abort()

    def _look(self) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            self._all.note_silence(self)
            # until the first byte of the next request uvicorn's own keep-alive timer runs, if it runs
            is_kept_alive = self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]
            self._set_timer(None if is_kept_alive else "the head of a request took too long")
        elif self.cycle is not None and self.cycle.response_complete:
            self._set_timer("it goes on sending what was answered already")
        else:
            self._all.note_request(self)
            self._set_timer(None)

    def _set_timer(self, why: str | None) -> None:
        """One that runs already runs on: bytes that drip in gain no time."""
        if why is None:
            self._timer = _cancelled(self._timer)
        elif self._timer is None:
            self._timer = self.loop.call_later(self._all.header_timeout_s, self.end, why)


def _cancelled(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """What a timer is once it was cancelled: none."""
    if timer is not None:
        timer.cancel()
    return None


def _allow_files(wanted: int) -> int:
    """How many files this process may have open, after asking for as many as are wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
