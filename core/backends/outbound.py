"""Calls to addresses that users gave us: webhooks, files that are fetched, and whatever else takes a URL.

A host is resolved once, every address of it is judged (`core.kit.ssrf`), and the connection goes to a judged address,
with the host's own name for `Host` and TLS: a second, different answer of its name server changes nothing. No
redirect is followed but by `download`, which judges each place anew; no proxy of the environment is used, nothing is
unpacked, and both the time of the whole call and the bytes that are read of an answer are bounded.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn
from urllib.parse import urljoin

import httpcore

from core.config import Settings
from core.errors import Invalid, Unavailable
from core.kit import ssrf
from core.kit.ssrf import Address, Refused, Rules, Target

logger = logging.getLogger(__name__)

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as text. Raises `OSError` if it has none."""

_RESOLVE_S = 5.0
_MAX_BYTES = 64 * 1024
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Unreachable(Unavailable):
    """The other side gave no answer. The message says why, and names no more of its address than its host."""

    code = "target_unreachable"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    """As much of it as was asked for, and as it was sent."""


class OutboundClient:
    """`resolve` and `ssl_context` are for tests, which have name servers and certificates of their own."""

    def __init__(
        self, rules: Rules, *, resolve: Resolve | None = None, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._rules = rules
        self._resolve = resolve or _resolve
        self._given_context = ssl_context

    @classmethod
    def of_settings(cls, settings: Settings) -> "OutboundClient":
        return cls(settings.outbound_rules())

    def check(self, url: str, *, param: str = "url") -> None:
        """Whether it would be called now. Raises `Invalid` (`url_refused`), saying why not. Asks the name server."""
        try:
            self._addressed(url)
        except Refused as error:
            raise Invalid(str(error), code="url_refused", param=param) from error

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout_s: float,
        max_bytes: int = _MAX_BYTES,
    ) -> Answer:
        """One request and its answer, whatever its status. Raises `Unreachable`, and `Invalid` as `check` does."""
        with self._asked(method, url, headers, body, _Deadline(timeout_s)) as (answer, _):
            return Answer(answer.status, _headers_of(answer), _read(answer, max_bytes))

    def download(
        self,
        url: str,
        *,
        began: Callable[[str, Answer], None],
        take: Callable[[bytes], bool],
        timeout_s: float,
        silence_s: float,
    ) -> None:
        """The body of a GET in chunks, until `take` says that it has enough; `began` is told where it comes from first.

        Redirects are followed, each to an address that is judged as the first was. `began` gets the answer without its
        body, whatever its status. Ends after `timeout_s` in all and `silence_s` without a byte. Raises as `send`, and
        `Unreachable` also for a body that breaks off.
        """
        deadline = _Deadline(timeout_s, silence_s=silence_s)
        for _ in range(_MAX_REDIRECTS + 1):
            with self._asked("GET", url, {}, b"", deadline) as (answer, target):
                headers = _headers_of(answer)
                if answer.status in _REDIRECTS and "location" in headers:
                    url = _redirected(target, url, headers["location"])
                    continue
                began(url, Answer(answer.status, headers, b""))
                for chunk in answer.iter_stream():
                    if not take(chunk):
                        return
                return
        raise Invalid(
            f"The address leads from one to the next more than {_MAX_REDIRECTS} times. Give the one where it ends.",
            code="url_refused",
            param="url",
        )

    @contextmanager
    def _asked(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline: "_Deadline"
    ) -> Iterator[tuple[httpcore.Response, Target]]:
        """An answer whose body was not read yet. What breaks meanwhile is raised as `Unreachable`."""
        try:
            target, addresses = self._addressed(url)
        except Refused as error:
            raise Invalid(str(error), code="url_refused", param="url") from error
        sent = {
            "Host": target.authority,
            "Accept-Encoding": "identity",
            "Connection": "close",
            **({} if method == "GET" else {"Content-Length": str(len(body))}),
            **headers,
        }
        request = httpcore.Request(
            method,
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
            headers=[(name.encode(), value.encode()) for name, value in sent.items()],
            content=body,
        )
        try:
            with httpcore.ConnectionPool(
                ssl_context=self._ssl_context, network_backend=_Pinned(addresses, deadline), max_connections=1
            ) as pool:
                answer = pool.handle_request(request)
                try:
                    yield answer, target
                finally:
                    answer.close()
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            _explain(error, target, deadline.whole_s)

    def _addressed(self, url: str) -> tuple[Target, Sequence[Address]]:
        target = ssrf.parse(url)
        addresses = [target.address] if target.address else list(ssrf.addresses_of(self._answers(target)))
        self._rules.check(target, addresses)
        return target, addresses

    def _answers(self, target: Target) -> Sequence[str]:
        try:
            return self._resolve(target.host, target.port)
        except TimeoutError as error:
            raise Refused(f"The name server of {target.host} did not answer within {_RESOLVE_S:g} s.") from error
        except (OSError, UnicodeError) as error:
            raise Refused(f"There is no host called {target.host}. Check its spelling.") from error

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        return self._given_context or ssl.create_default_context()


class _Deadline:
    def __init__(self, seconds: float, *, silence_s: float | None = None) -> None:
        self.whole_s = seconds
        self._silence_s = seconds if silence_s is None else silence_s
        self._ends_at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that the next byte may take, at least a moment. Raises httpcore's timeout when there are none."""
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise httpcore.ReadTimeout("the time for the whole call is over")
        return min(left_s, self._silence_s)


class _Pinned(httpcore.NetworkBackend):
    """Connects to the addresses that were judged, in their order, whatever host it is asked for."""

    def __init__(self, addresses: Sequence[Address], deadline: _Deadline) -> None:
        self._addresses, self._deadline = addresses, deadline
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        del host, timeout
        for number, address in enumerate(self._addresses, start=1):
            # one that swallows packets leaves time for the others
            patience_s = self._deadline.left() / (len(self._addresses) - number + 1)
            try:
                stream = self._backend.connect_tcp(str(address), port, patience_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(self._addresses):
                    raise
            else:
                return _Bounded(stream, self._deadline)
        raise AssertionError


class _Bounded(httpcore.NetworkStream):
    """Every wait ends with the time of the whole call: an answer that drips is cut."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del timeout
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's signature
        return self._stream.get_extra_info(info)


def _headers_of(answer: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}


def _redirected(target: Target, url: str, location: str) -> str:
    """Where an answer sends us; nobody who asked in secret is sent on where others read along."""
    try:
        there = urljoin(url, location)
    except ValueError as error:
        raise Invalid(f"{target.host} leads on to what is no address.", code="url_refused", param="url") from error
    if target.scheme == "https" and not there.lower().startswith("https:"):
        raise Invalid(
            f"{target.host} leads on to an address without https, which is not followed.",
            code="url_refused",
            param="url",
        )
    return there


def _read(answer: httpcore.Response, max_bytes: int) -> bytes:
    """What came of the body; that the rest is late, cut or too much changes nothing about the status."""
    found = bytearray()
    try:
        for chunk in answer.iter_stream():
            found += chunk
            if len(found) >= max_bytes:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        logger.info("the end of an answer did not come: %s", type(error).__name__)
    return bytes(found[:max_bytes])


def _explain(error: Exception, target: Target, timeout_s: float) -> NoReturn:
    # httpcore keeps what it translates as the argument
    cause = error.args[0] if error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"The certificate of {target.host} is not valid: {cause.verify_message}."
    elif isinstance(error, httpcore.TimeoutException):
        why = f"{target.host} did not answer within {timeout_s:g} s."
    elif isinstance(error, httpcore.ConnectError):
        words = cause.strerror if isinstance(cause, OSError) and cause.strerror else "it failed"
        why = f"No connection to {target.host}, port {target.port}: {words}."
    else:
        why = f"{target.host} broke off, or its answer was not HTTP."
    raise Unreachable(why) from error


def _resolve(host: str, port: int) -> Sequence[str]:
    """The system's resolver in a thread: it knows no time-out, and a hostile name server may make it wait for long."""
    found: list[str] = []
    errors: list[OSError | UnicodeError] = []

    def ask() -> None:
        try:
            found.extend(str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(_RESOLVE_S)
    if thread.is_alive():
        raise TimeoutError
    if errors:
        raise errors[0]
    return found
