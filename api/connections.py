"""Connections that say little and stay long, or lie: what uvicorn's HTTP protocol does not bound by itself.

- The head of a request must arrive whole within a time, however slowly its bytes drip in (slow loris), and is so long
  and no longer.
- What a proxy in front of us may read another way is refused: then nobody can hide one request in another.
- An answer that the client does not read is given up, and so are requests sent far ahead of their answers.
- One address has so many connections and no more; when there are too many in all, those go first that have not sent a
  whole request for longest, so that who does nothing makes room for who does something.

How fast a body must come is the business of `api.middleware.BodyLimit`.
"""

import asyncio
import logging
import resource
from collections import Counter
from enum import Enum, auto
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.client_address import ClientAddresses
from core.config import Settings
from core.kit.sites import site_of

logger = logging.getLogger(__name__)

_UNREAD_ANSWER_S = 60.0
_MAX_HEAD_BYTES = 16 * 1024
# of the requests that a connection sends ahead of their answers; clients that do so at all send a few
_MAX_AHEAD = 32
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
_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"content-type: application/json\r\n"
    b"content-length: %d\r\n"
    b"x-content-type-options: nosniff\r\n"
    b"cache-control: no-store\r\n"
    b"connection: close\r\n\r\n%b" % (len(_NOT_HTTP), _NOT_HTTP)
)


class _Part(Enum):
    """Of a request: which one the next bytes belong to."""

    NONE = auto()
    HEAD = auto()
    BODY = auto()


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


class GuardedProtocol(HttpToolsProtocol):
    """Given to uvicorn as its `http`."""

    def __init__(self, *arguments: Any, connections: Connections, **keywords: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*arguments, **keywords)
        self.address = self.site = "none"
        self._all = connections
        self._is_admitted = False
        self._timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._part = _Part.NONE
        self._num_head_bytes = 0
        # nothing more is read: what comes next cannot be told apart, or is not for us
        self._is_deaf = False

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
        if self._is_deaf:
            return
        if self._part is not _Part.BODY:
            # also what the parser holds back until a name or a value is whole
            self._num_head_bytes += len(data)
        super().data_received(data)
        if self._part is _Part.HEAD and self._num_head_bytes > _MAX_HEAD_BYTES and not self._is_deaf:
            self.send_400_response("")
        self._look()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._part = _Part.HEAD

    def on_header(self, name: bytes, value: bytes) -> None:
        # what comes behind a body in chunks is no header: a proxy may not have looked at it
        if self._part is _Part.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Raises `ValueError`, which uvicorn answers with a 400, for a head that could be read in two ways."""
        _check_head(self.url, self.headers, is_1_0=self.parser.get_http_version() == "1.0")
        self._part, self._num_head_bytes = _Part.BODY, 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # to nothing that we speak; the parser reads no further, so that this one must be the last
            self.cycle.keep_alive = False
        if len(self.pipeline) > _MAX_AHEAD:
            self.end("it sends more and more before it is answered")

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._part = _Part.NONE

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            # those that came ahead are answered before more are read
            self.flow.pause_reading()
        if not self.transport.is_closing():
            self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread_timer is None:
            self._unread_timer = self.loop.call_later(_UNREAD_ANSWER_S, self.end, "its client does not read the answer")

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_timer = _cancelled(self._unread_timer)

    def _unsupported_upgrade_warning(self) -> None:
        self._is_deaf = True

    def send_400_response(self, msg: str) -> None:
        """In the body that every other refusal has. Never kept alive: where the next request begins, nobody knows."""
        del msg
        self._is_deaf = True
        is_answering = self.cycle is not None and not self.cycle.response_complete
        if is_answering and self._part is not _Part.BODY:
            # what was understood is answered, and nothing after it
            self.cycle.keep_alive = False
            return
        if is_answering and (self.cycle.response_started or self.pipeline):
            # half an answer is out, or another is due first
            self.transport.abort()
            return
        if is_answering:
            # whoever works on what came before it turned out to be none of HTTP
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_REFUSAL)
        self.transport.close()

    def end(self, why: str) -> None:
        if not self.transport.is_closing():
            logger.info("closed a connection: %s", why)
        self._is_deaf = True
        self._all.note_request(self)
        self.transport.abort()

    def _look(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._all.note_request(self)
            self._set_timer(None)
        elif self._part is _Part.BODY:
            self._set_timer("it goes on sending what was answered already")
        else:
            self._all.note_silence(self)
            # until the first byte of the next request uvicorn's own keep-alive timer runs, if it runs
            is_kept_alive = self.timeout_keep_alive_task is not None and self._part is _Part.NONE
            self._set_timer(None if is_kept_alive else "the head of a request took too long")

    def _set_timer(self, why: str | None) -> None:
        """One that runs already runs on: bytes that drip in gain no time."""
        if why is None:
            self._timer = _cancelled(self._timer)
        elif self._timer is None:
            self._timer = self.loop.call_later(self._all.header_timeout_s, self.end, why)


def _check_head(url: bytes, headers: list[tuple[bytes, bytes]], *, is_1_0: bool) -> None:
    """What the parser lets pass although it is too long or two readers could take it differently.

    Raises `ValueError`.
    """
    if len(url) + sum(len(name) + len(value) for name, value in headers) > _MAX_HEAD_BYTES:
        raise ValueError("a head is no longer than that")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or not (hosts or is_1_0):
        raise ValueError("a request names one host")
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (is_1_0 or len(codings) > 1 or codings[0].strip().lower() != b"chunked"):
        raise ValueError("a body is chunked or has a length")


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
