"""Links that set a new password: once, within half an hour. Works in a system session."""

import math
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from core.errors import Invalid, RateLimited
from core.identity import service as identity
from core.identity import sign_in
from core.identity.models import User
from core.identity.resets.repository import PasswordResetRepository
from core.kit.hashing import sha256_bytes

MAX_AGE_S = 30 * 60
MAX_ASKED = 5
ASKED_WINDOW_S = 60 * 60
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class MadeReset:
    """A new link's token, which is handed over once and never stored; and whose password it sets, if anybody's."""

    token: str
    expires_at: datetime
    user: User | None


def ask(session: Session, *, email: str) -> MadeReset:
    """A link for whoever has the address. Does the same, and takes as long, where nobody has.

    Raises `RateLimited` once too many were asked for, of anybody's address, so that nobody's mailbox is flooded.
    """
    address = identity.normal_email(email)
    resets = PasswordResetRepository(session)
    resets.lock(address)
    num, frees_in_s = resets.recent(address, window_s=ASKED_WINDOW_S)
    if num >= MAX_ASKED:
        minutes = max(1, math.ceil(frees_in_s / 60))
        raise RateLimited(
            f"A reset of {address} was asked for {num} times. Look among unwanted mail, or try again in about "
            f"{minutes} minutes.",
            code="too_many_resets",
            details={"retry_after_s": max(1, math.ceil(frees_in_s))},
        )
    return _make(session, email=address, user=identity.find_user(session, email=address))


def make_for(session: Session, *, user_id: str) -> MadeReset:
    """A link for an admin to pass on, where no mail is sent. Who may make it is the caller's business."""
    user = identity.get_user(session, user_id=user_id)
    return _make(session, email=user.email, user=user)


def finish(session: Session, *, token: str, password: str) -> User:
    """Set the password, and sign the person out everywhere. Raises `Invalid` for a link or a password that is no good.

    A bad password leaves the link as it was: the transaction is not committed.
    """
    user_id = PasswordResetRepository(session).take(sha256_bytes(token.encode()))
    if user_id is None:
        raise Invalid(
            f"This link was used, is older than {MAX_AGE_S // 60} minutes, or is incomplete. Ask for a new one.",
            code="reset_link_invalid",
            param="token",
        )
    user = identity.set_password(session, user_id=user_id, password=password)
    identity.end_sessions_of(session, user_id=user_id)
    sign_in.forget_attempts(session, email=user.email)
    return user


def void(session: Session, *, user_id: str) -> None:
    """A password was set in another way: links that were made before set none."""
    PasswordResetRepository(session).use_all(user_id)


def _make(session: Session, *, email: str, user: User | None) -> MadeReset:
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    made = PasswordResetRepository(session).add(
        email=email,
        user_id=user.id if user else None,
        token_sha256=sha256_bytes(token.encode()),
        max_age_s=MAX_AGE_S,
    )
    return MadeReset(token=token, expires_at=made.expires_at, user=user)
