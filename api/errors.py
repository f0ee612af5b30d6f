"""Every failure as one body: `{"error": {"message", "type", "param", "code"}}`, for each status, on each path."""

import logging
import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from core import errors
from core.db.sqlstates import is_disk_full, is_lost_race, is_unavailable

logger = logging.getLogger(__name__)

_STATUS: dict[type[errors.AppError], int] = {
    errors.Invalid: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unprocessable: 422,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.InsufficientStorage: 507,
}
_TYPE = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# clients retry 408, 409, 429 and 5xx unless told; a business refusal stays one however often it is asked
_RETRYABLE_CODES = frozenset({"request_in_flight"})
_RETRY_AFTER_S = 2
_PARAMETER = re.compile(r"\{.*?\}")
_LOCATIONS = frozenset({"body", "query", "path", "header", "cookie"})


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.AppError, _app_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    for failure in (DBAPIError, PoolTimeout):
        app.add_exception_handler(failure, _database_error)
    app.add_exception_handler(IntegrityError, _integrity_error)
    # half a surrogate pair, which JSON can spell and UTF-8 cannot, comes as the second
    for unstorable in (DataError, UnicodeEncodeError):
        app.add_exception_handler(unstorable, _data_error)


def error_response(
    status: int,
    message: str,
    *,
    code: str | None,
    param: str | None = None,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    kind = _TYPE.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error")
    error: dict[str, Any] = {"message": message, "type": kind, "param": param, "code": code}
    if details:
        error["details"] = details
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def response_of(error: errors.AppError) -> JSONResponse:
    """An expected failure as its response; also for streams and middleware, which no handler covers."""
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    headers: dict[str, str] = {}
    retry_after_s = error.details.get(
        "retry_after_s", _RETRY_AFTER_S if isinstance(error, errors.Unavailable) else None
    )
    if retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(retry_after_s))
    if isinstance(error, errors.Conflict | errors.RateLimited):
        is_retryable = error.error_code in _RETRYABLE_CODES or isinstance(error, errors.RateLimited)
        headers["x-should-retry"] = "true" if is_retryable else "false"
    if isinstance(error, errors.InsufficientStorage):
        # a disk is not emptied within a client's patience
        headers["x-should-retry"] = "false"
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return error_response(
        status, error.message, code=error.error_code, param=error.param, details=error.details, headers=headers
    )


def internal_error(request_id: str) -> JSONResponse:
    return error_response(
        500,
        f"Something broke on our side. Tell your administrator this request id: {request_id}",
        code="internal_error",
        details={"request_id": request_id},
    )


async def _app_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.AppError)  # noqa: S101 - registered for it alone
    logger.info("refused: %s", error.error_code)
    return response_of(error)


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    # the sender's input is left out: it may be a password
    found = [
        {"param": _param(item["loc"]), "message": str(item["msg"]), "kind": str(item["type"])}
        for item in error.errors()
    ]
    first = found[0]
    if first["kind"] == "json_invalid":
        return error_response(400, "The body is not valid JSON.", code="invalid_json")
    if first["kind"] in {"model_attributes_type", "dict_type"} and first["param"] is None:
        return error_response(
            400, "The body must be a JSON object, sent with Content-Type: application/json.", code="invalid_json"
        )
    where = f"{first['param']}: " if first["param"] else ""
    return error_response(
        400, f"{where}{first['message']}.", code="invalid_value", param=first["param"], details={"errors": found}
    )


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    match error.status_code:
        case 404:
            message, code = f"There is nothing at {request.method} {request.url.path}.", "unknown_url"
        case 405:
            message, code = f"{request.url.path} does not answer {request.method}.", "method_not_allowed"
            headers["allow"] = ", ".join(sorted(_methods_of(request)))
        case 408:
            message, code = str(error.detail), "request_timeout"
        case 413:
            message, code = str(error.detail), "payload_too_large"
        case _:
            message, code = str(error.detail), "invalid_request"
    return error_response(error.status_code, message, code=code, headers=headers)


def _methods_of(request: Request) -> set[str]:
    """What the path answers. Each method is a route of its own, and the router names those of the first alone."""
    routes = list(iter_route_contexts(request.app.routes))
    paths = {route.path or "" for route in routes if route.path_regex.match(request.scope["path"])}
    # `/jobs/dry_run` is also a job's id to the router; what says more of the path is meant
    meant = max(paths, key=lambda path: len(_PARAMETER.sub("", path)), default=None)
    return {name for route in routes if route.path == meant for name in route.methods or ()}


async def _database_error(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and not is_unavailable(error):
        raise error
    # one line: while it is away every request says so
    logger.error("the database does not answer: %s", str(error).partition("\n")[0])
    if isinstance(error, DBAPIError) and is_disk_full(error):
        return response_of(errors.InsufficientStorage("The database's disk is full. Ask your admin to make room."))
    if isinstance(error, DBAPIError) and is_lost_race(error):
        return response_of(
            errors.Unavailable(
                "Too much was changed in the same place at once, and nothing of this was kept. Try again in a moment.",
                code="database_busy",
            )
        )
    return response_of(
        errors.Unavailable(
            "The database does not answer. Nothing was lost; try again in a moment.", code="database_unavailable"
        )
    )


async def _integrity_error(_request: Request, error: Exception) -> JSONResponse:
    # two requests at once passed the same check; the database let one of them through
    logger.warning("a constraint refused a write", exc_info=error)
    return response_of(
        errors.Conflict("Somebody changed the same thing at the same moment. Look again.", code="concurrent_change")
    )


async def _data_error(_request: Request, error: Exception) -> JSONResponse:
    logger.info("a value cannot be stored", exc_info=error)
    return response_of(
        errors.Invalid("A value holds characters or numbers that cannot be stored.", code="unstorable_value")
    )


def _param(location: Sequence[str | int]) -> str | None:
    parts = list(location)
    if parts and parts[0] in _LOCATIONS:
        parts = parts[1:]
    return ".".join(str(part) for part in parts) or None
