"""Passwords as argon2id hashes. A check costs the same whether or not there is such a user."""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.errors import Invalid

MIN_CHARS = 12
# argon2 reads the whole password: without a ceiling, a long one is a cheap way to keep us busy
MAX_CHARS = 256

_hasher = PasswordHasher()
# one check takes 64 MiB and a core's whole attention: a flood of sign-ins waits in line instead of taking the machine
_turns = threading.BoundedSemaphore(2)


def hash_password(password: str) -> str:
    """Raises `Invalid` for a new password that is too short or absurdly long."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise Invalid(
            f"The password has {len(password)} characters; it must have {MIN_CHARS} to {MAX_CHARS}. "
            "A short sentence is easy to remember and hard to guess.",
            code="password_length",
            param="password",
        )
    return _hasher.hash(password)


def password_matches(password_hash: str | None, password: str) -> bool:
    """With no hash, does the same work against a hash that nothing matches."""
    if len(password) > MAX_CHARS:
        return False
    try:
        with _turns:
            return _hasher.verify(password_hash or _unmatched_hash(), password) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _unmatched_hash() -> str:
    return _hasher.hash("a password that nobody has, for the time it takes")
