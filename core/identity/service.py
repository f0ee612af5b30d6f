"""Who somebody is: users, their passwords, and the browser sessions they opened. Works in a system session."""

import math
import re
import secrets
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound, RateLimited, Unauthenticated
from core.identity.models import User, UserSession
from core.identity.passwords import hash_password, password_matches
from core.identity.repository import SignInAttemptRepository, UserRepository, UserSessionRepository
from core.kit.hashing import sha256_bytes

MAX_ATTEMPTS = 10
ATTEMPT_WINDOW_S = 15 * 60
_TOKEN_BYTES = 32
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_MAX_EMAIL_CHARS = 254


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session and its token, which is shown to the browser once and never stored."""

    session: UserSession
    token: str


def create_user(session: Session, *, email: str, name: str, password: str) -> User:
    """Raises `Invalid` for a bad address or password, `Conflict` if the address is taken."""
    address = normal_email(email)
    users = UserRepository(session)
    if users.by_email(address):
        raise Conflict(f"There is a user with the address {address} already.", code="email_taken", param="email")
    return users.add(email=address, name=name.strip() or address, password_hash=hash_password(password))


def get_user(session: Session, *, user_id: str) -> User:
    user = UserRepository(session).get(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.", code="user_not_found")
    return user


def find_user(session: Session, *, email: str) -> User | None:
    return UserRepository(session).by_email(normal_email(email))


def make_installation_admin(session: Session, *, user_id: str) -> User:
    """Let somebody see and steer the workers and jobs of all workspaces."""
    user = get_user(session, user_id=user_id)
    user.is_installation_admin = True
    session.flush()
    return user


def begin_sign_in(session: Session, *, email: str) -> None:
    """Count an attempt before its password is looked at; commit before you look.

    Raises `RateLimited` with `details.retry_after_s` once an address had too many attempts that did not succeed.
    """
    address = email.strip().lower()
    attempts = SignInAttemptRepository(session)
    attempts.lock(address)
    num, frees_in_s = attempts.recent(address, window_s=ATTEMPT_WINDOW_S)
    if num >= MAX_ATTEMPTS:
        minutes = max(1, math.ceil(frees_in_s / 60))
        raise RateLimited(
            f"There were {num} failed attempts to sign in as {address}. Try again in about {minutes} minutes.",
            code="too_many_sign_in_attempts",
            details={"retry_after_s": max(1, math.ceil(frees_in_s))},
        )
    attempts.add(address)


def finish_sign_in(session: Session, *, email: str, password: str, max_s: int) -> tuple[User, OpenedSession]:
    """Check the password and open a new session, whatever token the browser had before.

    Raises `Unauthenticated` with the same words and after the same time for an unknown address and a wrong password.
    """
    address = email.strip().lower()
    user = UserRepository(session).by_email(address)
    if not password_matches(user.password_hash if user else None, password) or user is None:
        raise Unauthenticated("The e-mail address or the password is wrong.", code="sign_in_failed")
    SignInAttemptRepository(session).clear(address, window_s=ATTEMPT_WINDOW_S)
    return user, open_session(session, user_id=user.id, max_s=max_s)


def open_session(session: Session, *, user_id: str, max_s: int) -> OpenedSession:
    sessions = UserSessionRepository(session)
    sessions.remove_expired()
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return OpenedSession(
        session=sessions.add(user_id=user_id, token_sha256=sha256_bytes(token.encode()), max_s=max_s), token=token
    )


def find_session(session: Session, *, token: str, idle_s: int) -> UserSession | None:
    """The live session of a token; notes at most once a minute that it was used."""
    sessions = UserSessionRepository(session)
    found = sessions.live(sha256_bytes(token.encode()), idle_s=idle_s)
    if found is None:
        return None
    user_session, is_stale = found
    if is_stale:
        sessions.touch(user_session.id)
    return user_session


def choose_workspace(session: Session, *, session_id: str, workspace_id: str) -> None:
    """Remember which workspace a browser looks at. Whether it may is asked with every request."""
    UserSessionRepository(session).choose_workspace(session_id, workspace_id)


def end_session(session: Session, *, session_id: str) -> None:
    UserSessionRepository(session).remove(session_id)


def end_sessions_of(session: Session, *, user_id: str) -> None:
    UserSessionRepository(session).remove_of_user(user_id)


def change_password(
    session: Session, *, user_id: str, current_password: str, new_password: str, kept_session_id: str
) -> None:
    """Set a new password and sign out every other browser of the user."""
    user = get_user(session, user_id=user_id)
    if not password_matches(user.password_hash, current_password):
        raise Invalid("The current password is wrong.", code="wrong_password", param="current_password")
    user.password_hash = hash_password(new_password)
    UserSessionRepository(session).remove_of_user(user_id, except_id=kept_session_id)


def normal_email(email: str) -> str:
    """The address in lower case. Nothing is sent to it, so any `somebody@somewhere` will do, admin@localhost too."""
    address = email.strip().lower()
    if len(address) > _MAX_EMAIL_CHARS or not _EMAIL.fullmatch(address):
        raise Invalid(f"{email!r} is not an e-mail address.", code="invalid_email", param="email")
    return address
