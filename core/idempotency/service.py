"""A create that is asked for twice happens once.

The answer is kept in the transaction of the work, so there is never one without the other. An advisory lock on the key
is held for that transaction: whoever comes meanwhile is told so instead of doing the work again.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from core.errors import Conflict, Unprocessable
from core.idempotency.repository import IdempotencyRepository

KEPT_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request for a create: which, under what key, with what body."""

    workspace_id: str
    route: str
    key: str
    request_sha256: str
    # how old the first answer may be
    max_age_s: int = KEPT_S
    # a client that says nothing of a retry may mean to create twice: it waits for the lock and does its own work
    may_replay: bool = True


def first_answer(session: Session, attempt: Attempt) -> dict[str, Any] | None:
    """The kept answer, or None if the caller must do the work (and then `keep`).

    Raises `Conflict` (`request_in_flight`) while another request has the key, and `Unprocessable`
    (`idempotency_key_reused`) if the key came before with another body.
    """
    repository = IdempotencyRepository(session, attempt.workspace_id)
    if not attempt.may_replay:
        repository.lock(route=attempt.route, key=attempt.key)
        return None
    if not repository.try_lock(route=attempt.route, key=attempt.key):
        raise Conflict(
            "The same request is being worked on right now. Try again in a second for its answer.",
            code="request_in_flight",
            details={"retry_after_s": 1},
        )
    found = repository.get(route=attempt.route, key=attempt.key, max_age_s=attempt.max_age_s)
    if found is None:
        return None
    if found.request_sha256 != attempt.request_sha256:
        raise Unprocessable(
            "This Idempotency-Key was used before with another body. Use a new key for a new request.",
            code="idempotency_key_reused",
        )
    return found.answer


def keep(session: Session, attempt: Attempt, answer: dict[str, Any]) -> None:
    repository = IdempotencyRepository(session, attempt.workspace_id)
    repository.remove_older(max_age_s=KEPT_S)
    repository.put(route=attempt.route, key=attempt.key, request_sha256=attempt.request_sha256, answer=answer)
