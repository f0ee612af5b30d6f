"""Errors as the client will read them."""

from typing import Final, Literal

from core.errors import AppError, Invalid, NotFound, RateLimited, TooLarge, Unavailable
from core.inference.types import ErrorLine

Category = Literal["invalid", "not_found", "rate_limited", "unavailable", "internal"]
_CATEGORIES: Final[tuple[tuple[type[AppError], Category, int], ...]] = (
    (Invalid, "invalid", 400),
    (TooLarge, "invalid", 413),
    (NotFound, "not_found", 404),
    (RateLimited, "rate_limited", 429),
    (Unavailable, "unavailable", 503),
)


# a short answer of a small model: whoever comes back then finds a place soon
_RETRY_AFTER_S: Final = 3
# and whoever wants a base that has no place is in no hurry to have it read
_RETRY_AFTER_BASES_S: Final = 10


def error_line(error: AppError) -> ErrorLine:
    return ErrorLine(
        category=_row(error)[0], code=error.error_code, message=error.message, param=error.param, details=error.details
    )


def status_of(error: AppError) -> int:
    return _row(error)[1]


def restarting() -> Unavailable:
    return Unavailable("The model server is restarting. Try again in a minute.", code="inference_unavailable")


def too_many_chats(max_per_workspace: int) -> RateLimited:
    return RateLimited(
        f"Your workspace has {max_per_workspace} answers under way, as many as one workspace may have at "
        "once. Try again when some are done.",
        code="too_many_chats",
        details={"retry_after_s": _RETRY_AFTER_S},
    )


def queue_full() -> RateLimited:
    return RateLimited(
        "Too many people are talking to models right now. Try again in a few seconds.",
        code="inference_queue_full",
        details={"retry_after_s": _RETRY_AFTER_S},
    )


def bases_busy(name: str, *, no_room: bool) -> RateLimited:
    """Where its turn came and there was no room, or where its turn did not come in time."""
    why = (
        f"There is no room for the base model {name} right now: those that are loaded are answering."
        if no_room
        else f"The turn of the base model {name} did not come in time: others are loaded before it."
    )
    return RateLimited(
        f"{why} Try again in a few seconds.",
        code="bases_busy",
        details={"retry_after_s": _RETRY_AFTER_BASES_S},
    )


def _row(error: AppError) -> tuple[Category, int]:
    for category_class, category, status in _CATEGORIES:
        if isinstance(error, category_class):
            return category, status
    return "internal", 500
