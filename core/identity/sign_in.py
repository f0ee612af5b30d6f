"""Proving who one is by a password and, where it is on, a code of one's app. Works in a system session.

Each proof is two transactions: `begin` counts an attempt and is committed before anything is looked at, `finish` looks
and, if all is right, forgets the attempts. So no failure goes uncounted, whatever becomes of its request.
"""

import math
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import Invalid, RateLimited, Unauthenticated
from core.identity import service as identity
from core.identity.models import User
from core.identity.passwords import password_matches
from core.identity.repository import SignInAttemptRepository, UserRepository
from core.identity.service import OpenedSession
from core.identity.totp import service as totp
from core.identity.totp.service import Proof
from core.identity.types import Browser
from core.kit.sealing import Sealer
from core.kit.sites import site_of

MAX_ATTEMPTS = 10
# of one client against whatever addresses: an office behind one address must not lock itself out by a few typing errors
MAX_CLIENT_ATTEMPTS = 100
ATTEMPT_WINDOW_S = 15 * 60


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    opened: OpenedSession
    # None where no second factor is on
    second_factor: Proof | None


def begin_sign_in(session: Session, *, email: str, client_address: str | None = None) -> int:
    """Count an attempt before it is looked at; commit before you look. Returns how many more there may be.

    Raises `RateLimited` with `details.retry_after_s` once an address, or a client, had too many attempts that did not
    succeed.
    """
    address = email.strip().lower()
    client = site_of(client_address or "")
    attempts = SignInAttemptRepository(session)
    attempts.lock(address)
    num, frees_in_s = attempts.recent_of_email(address, window_s=ATTEMPT_WINDOW_S)
    if num >= MAX_ATTEMPTS:
        raise _too_many(f"There were {num} failed attempts to sign in as {address}.", frees_in_s)
    if client is not None:
        attempts.lock(f"client {client}")
        num_of_client, frees_in_s = attempts.recent_of_client(client, window_s=ATTEMPT_WINDOW_S)
        if num_of_client >= MAX_CLIENT_ATTEMPTS:
            raise _too_many(f"There were {num_of_client} failed attempts to sign in from {client_address}.", frees_in_s)
    attempts.add(address, client=client)
    return MAX_ATTEMPTS - num - 1


def finish_sign_in(
    session: Session,
    *,
    email: str,
    password: str,
    code: str | None,
    sealer: Sealer,
    max_s: int,
    browser: Browser,
) -> SignedIn:
    """Check the password, and the code where one is asked for, and open a new session.

    Raises `Unauthenticated`: with the same words and after the same time for an unknown address and a wrong password
    (`sign_in_failed`); if a code is needed (`second_factor_required`) or wrong (`second_factor_failed`).
    """
    address = email.strip().lower()
    user = UserRepository(session).by_email(address)
    if not password_matches(user.password_hash if user else None, password) or user is None:
        raise Unauthenticated("The e-mail address or the password is wrong.", code="sign_in_failed")
    proof = None
    if totp.is_on(session, user_id=user.id):
        if not code:
            raise Unauthenticated(
                "Type the code that your authenticator app shows, or one of your recovery codes.",
                code="second_factor_required",
            )
        proof = totp.prove(session, user_id=user.id, code=code, sealer=sealer)
    forget_attempts(session, email=address)
    opened = identity.open_session(session, user_id=user.id, max_s=max_s, browser=browser)
    return SignedIn(user=user, opened=opened, second_factor=proof)


def finish_proof(session: Session, *, user_id: str, password: str, param: str = "password") -> User:
    """Check the password of somebody who is signed in already, before they change how they sign in. Raises `Invalid`.

    Begun, like a sign-in, by `begin_sign_in`: a stolen session must not serve to guess the password.
    """
    user = identity.get_user(session, user_id=user_id)
    if user.password_hash is None:
        raise Invalid(
            "You have no password here: you sign in by the single sign-on. Ask for a reset link to set one.",
            code="no_password",
            param=param,
        )
    if not password_matches(user.password_hash, password):
        word = "current password" if param == "current_password" else "password"
        raise Invalid(f"The {word} is wrong.", code="wrong_password", param=param)
    forget_attempts(session, email=user.email)
    return user


def forget_attempts(session: Session, *, email: str) -> None:
    """What was tried before somebody proved who they are counts no longer."""
    SignInAttemptRepository(session).clear(email, window_s=ATTEMPT_WINDOW_S)


def _too_many(what: str, frees_in_s: float) -> RateLimited:
    minutes = max(1, math.ceil(frees_in_s / 60))
    return RateLimited(
        f"{what} Try again in about {minutes} minutes.",
        code="too_many_sign_in_attempts",
        details={"retry_after_s": max(1, math.ceil(frees_in_s))},
    )
