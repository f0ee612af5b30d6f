"""Expected failures. Core raises them; the edges (api, worker, cli) translate them.

No HTTP here: an error has a category, and `api.errors` maps categories to statuses.
To add one: subclass the right category, give it a stable `code` (snake_case, never reused), and a sentence that says
what happened, where, and what to do.
"""

from typing import Any, ClassVar


class AppError(Exception):
    """An expected failure with a stable code, a sentence for people, and optional details for programs."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or self.code
        self.param = param
        self.details = details or {}


class Invalid(AppError):
    """The request or the data in it is wrong; the sender can fix it."""

    code = "invalid_request"


class Unauthenticated(AppError):
    code = "invalid_api_key"


class Forbidden(AppError):
    code = "permission_denied"


class NotFound(AppError):
    code = "not_found"


class Conflict(AppError):
    """The thing is not in a state that allows this."""

    code = "conflict"


class TooLarge(AppError):
    code = "payload_too_large"


class RateLimited(AppError):
    code = "rate_limit_exceeded"


class Unavailable(AppError):
    """Something we depend on does not answer; trying again later may work."""

    code = "service_unavailable"


class Unprocessable(AppError):
    """The request is well-formed but contradicts an earlier one."""

    code = "unprocessable"


class InsufficientStorage(AppError):
    """A disk of ours is full."""

    code = "insufficient_storage"
