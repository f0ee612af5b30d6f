"""What every request passes, as plain ASGI: an id, one log line, limits of size and pace, and safe headers.

No BaseHTTPMiddleware: it would buffer streams and lose a client's disconnect.
"""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.client_address import ClientAddresses, kept_address
from api.errors import error_response, internal_error
from api.web_page import is_api_path
from core.audit.origin import Origin, coming_from
from core.config import Settings
from core.datasets.uploads.service import MAX_PART_BYTES
from core.errors import Unavailable
from core.kit.ids import new_id
from core.kit.logs import logged_as
from core.kit.sites import site_of

logger = logging.getLogger("api.access")

MAX_JSON_BYTES = 2 * 1024 * 1024
# boundaries and part headers of a multipart body, beside the file itself
MULTIPART_SLACK_BYTES = 64 * 1024
_PART = re.compile(r"/v1/uploads/[^/]+/parts")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
MAX_QUERY_BYTES = 8 * 1024
# of all bodies that are held in memory at once
_MAX_HELD_BYTES = 256 * 1024 * 1024
# of those from one address: they come before anybody knows whose they are, and nobody may take all the room
_MAX_HELD_BYTES_PER_SITE = 32 * 1024 * 1024
_MAX_USER_AGENT_CHARS = 512
_SECURITY_HEADERS = {
    # the components library sets style attributes and its variables in a style element; scripts are files only
    "content-security-policy": (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
    "x-frame-options": "DENY",
}
# what the api says is no page: opened as one, it may load and run nothing
_API_HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


class RequestContext:
    """Gives a request its id, turns what nobody caught into a 500 without a trace, and logs one line at the end."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        is_https = settings.public_url.startswith("https://")
        page = _SECURITY_HEADERS | ({"strict-transport-security": "max-age=31536000"} if is_https else {})
        self._page_headers, self._api_headers = _raw(page), _raw(page | _API_HEADERS)
        self._addresses = ClientAddresses(settings.trusted_proxies)
        self._kept_address = settings.audit_client_addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope)
        request_id = _request_id(sent)
        address = self._addresses.of(scope, sent)
        scope.setdefault("state", {}).update(request_id=request_id, client_address=address)
        user_agent = sent.get("user-agent", "")[:_MAX_USER_AGENT_CHARS]
        came_from = Origin(request_id, kept_address(address, self._kept_address), user_agent)
        with logged_as(request_id), coming_from(came_from):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        guard = self._api_headers if is_api_path(scope["path"]) else self._page_headers
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                said = {name for name, _ in headers}
                headers.append((b"x-request-id", request_id.encode()))
                headers.extend(pair for pair in guard if pair[0] not in said)
                message["headers"] = headers
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            logger.exception("a request failed")
            if status:
                raise  # half a response is out: only closing the connection tells the client
            await internal_error(request_id)(scope, receive, send_with_headers)
        finally:
            _log(scope, status, started)


class BodyLimit:
    """Refuses a body that is too large, by its announced length or as it arrives, and one that comes too slowly.

    A length that could be read in two ways, or is none, never comes here: `api.connections` refuses it.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._max_upload_bytes = settings.max_upload_bytes + MULTIPART_SLACK_BYTES
        self._grace_s = settings.body_grace_s
        self._min_bytes_per_s = settings.min_body_bytes_per_s
        self._num_held = 0
        self._num_held_by_site: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if len(scope["query_string"]) > MAX_QUERY_BYTES:
            message = f"The part of the address after the question mark is longer than {MAX_QUERY_BYTES:,} bytes."
            await error_response(414, message, code="query_too_long")(scope, receive, send)
            return
        limit = self._limit_of(scope["path"])
        # before anybody asks who sent it
        is_held = limit == MAX_JSON_BYTES
        body = _Body(
            receive,
            announced=headers.get("content-length", ""),
            max_bytes=limit,
            grace_s=self._grace_s,
            min_bytes_per_s=self._min_bytes_per_s,
        )

        address = scope["state"]["client_address"]
        site = site_of(address) or address

        async def limited_receive() -> Message:
            before = body.num_received
            message = await body.receive()
            if is_held:
                self._hold(site, body.num_received - before)
            return message

        try:
            await self._app(scope, limited_receive, send)
        finally:
            if is_held:
                self._let_go(site, body.num_received)

    def _hold(self, site: str, num: int) -> None:
        self._num_held += num
        self._num_held_by_site[site] += num
        if self._num_held > _MAX_HELD_BYTES or self._num_held_by_site[site] > _MAX_HELD_BYTES_PER_SITE:
            raise Unavailable("Too many large requests arrive at once. Try again in a moment.")

    def _let_go(self, site: str, num: int) -> None:
        self._num_held -= num
        self._num_held_by_site[site] -= num
        if not self._num_held_by_site[site]:
            del self._num_held_by_site[site]

    def _limit_of(self, path: str) -> int:
        """More only for a route that streams what it reads: every other body is held in memory, whoever sent it."""
        if path == "/v1/files":
            return self._max_upload_bytes
        return MAX_PART_BYTES + MULTIPART_SLACK_BYTES if _PART.fullmatch(path) else MAX_JSON_BYTES


class _Body:
    """One body as it arrives.

    Failures are raised where it is read, so that the router's handlers answer them like any other refusal; the
    connection is then closed, for what is left of the body would be taken for the next request.
    """

    def __init__(
        self, receive: Receive, *, announced: str, max_bytes: int, grace_s: float, min_bytes_per_s: int
    ) -> None:
        self.num_received = 0
        self._receive = receive
        self._announced = int(announced) if announced.isdecimal() else 0
        self._max_bytes = max_bytes
        self._grace_s = self._patience_s = grace_s
        self._min_bytes_per_s = min_bytes_per_s
        self._is_complete = False

    async def receive(self) -> Message:
        if self._is_complete:
            # for as long as the answer takes: it says that the client is gone
            return await self._receive()
        if self._announced > self._max_bytes:
            raise _too_large(self._max_bytes)
        message = await self._next()
        if message["type"] == "http.request":
            num = len(message.get("body", b""))
            self.num_received += num
            # no more than at the start: what came fast at first buys no long silence later
            self._patience_s = min(self._grace_s, self._patience_s + num / self._min_bytes_per_s)
            self._is_complete = not message.get("more_body", False)
        if self.num_received > self._max_bytes:
            raise _too_large(self._max_bytes)
        return message

    async def _next(self) -> Message:
        """Only the time that is spent waiting counts: what we do with the bytes is not the sender's fault."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._receive()
        except TimeoutError as error:
            raise HTTPException(
                408,
                f"The request's body came too slowly: {self.num_received:,} bytes so far. Nothing of it was kept.",
                headers={"connection": "close"},
            ) from error
        finally:
            self._patience_s -= time.monotonic() - started


def _too_large(limit: int) -> HTTPException:
    message = f"The request is larger than {limit:,} bytes, the most that is accepted here."
    return HTTPException(413, message, headers={"connection": "close"})


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req_")


def _log(scope: Scope, status: int, started: float) -> None:
    route = scope.get("route")
    principal = scope["state"].get("principal")
    logger.info(
        "request",
        extra={
            "fields": {
                "method": scope["method"],
                # the template, not the path: ids would make every line its own kind, and queries may hold secrets
                "route": getattr(route, "path", None),
                "status": status,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "workspace_id": principal.workspace_id if principal else None,
            }
        },
    )
