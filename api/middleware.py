"""What every request passes, as plain ASGI: an id, one log line, a size limit, and safe headers.

No BaseHTTPMiddleware: it would buffer streams and lose a client's disconnect.
"""

import logging
import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import internal_error
from core.kit.ids import new_id
from core.kit.logs import logged_as

logger = logging.getLogger("api.access")

MAX_JSON_BYTES = 2 * 1024 * 1024
# boundaries and part headers of a multipart body, beside the file itself
_MULTIPART_SLACK_BYTES = 64 * 1024
_UPLOAD_PATHS = frozenset({"/v1/files"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
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
    "x-frame-options": "DENY",
}


class RequestContext:
    """Gives a request its id, turns what nobody caught into a 500 without a trace, and logs one line at the end."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = _SECURITY_HEADERS | ({"strict-transport-security": "max-age=31536000"} if is_https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        with logged_as(request_id):
            await self._answer(scope, receive, send, request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith("/v1"):
                    headers.setdefault("cache-control", "no-store")
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
    """Refuses a body that is too large, by its announced length or as it arrives."""

    def __init__(self, app: ASGIApp, *, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes + _MULTIPART_SLACK_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # only a route that streams what it reads; every other body is held in memory, before anybody asks who sent it
        limit = self._max_upload_bytes if scope["path"] in _UPLOAD_PATHS else MAX_JSON_BYTES
        announced = headers.get("content-length", "")
        num_received = 0

        async def limited_receive() -> Message:
            nonlocal num_received
            # raised where the body is read, so that the router's handlers answer it like any other refusal
            if announced.isdigit() and int(announced) > limit:
                raise _too_large(limit)
            message = await receive()
            if message["type"] == "http.request":
                num_received += len(message.get("body", b""))
                if num_received > limit:
                    raise _too_large(limit)
            return message

        await self._app(scope, limited_receive, send)


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"The request is larger than {limit:,} bytes, the most that is accepted here.")


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
