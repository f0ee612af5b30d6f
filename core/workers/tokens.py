"""What lets a worker in: a secret that is shown once, of which only the hash is kept. All need a system session."""

import secrets

from sqlalchemy.orm import Session

from core.errors import Invalid, NotFound
from core.kit.hashing import sha256_bytes
from core.workers.models import WorkerToken
from core.workers.repository import TokenRepository

PREFIX = "tb_worker_"
_NUM_BYTES = 32
_MIN_CHARS = 32


def new_secret() -> str:
    return PREFIX + secrets.token_hex(_NUM_BYTES)


def create_token(session: Session, *, name: str, created_by: str | None) -> tuple[WorkerToken, str]:
    """A new token, and its secret, which nobody can see again."""
    secret = new_secret()
    return _add(session, name=name, secret=secret, created_by=created_by), secret


def register_token(session: Session, *, name: str, secret: str) -> bool:
    """Let in who shows a secret that was chosen elsewhere. False if it was revoked: it stays so."""
    if len(secret) < _MIN_CHARS:
        raise Invalid(
            f"A worker token needs at least {_MIN_CHARS} characters; make one with `openssl rand -hex 32`.",
            code="worker_token_too_short",
        )
    known = find(session, secret=secret)
    if known is None:
        _add(session, name=name, secret=secret, created_by=None)
    return known is None or known.revoked_at is None


def find(session: Session, *, secret: str) -> WorkerToken | None:
    """The token with this secret, revoked or not."""
    return TokenRepository(session).with_hash(_hash(secret))


def revoke_token(session: Session, *, token_id: str) -> WorkerToken:
    """Nobody is let in by it any more, and the workers that were drain now."""
    repository = TokenRepository(session)
    token = repository.revoke(token_id)
    if token is None:
        raise NotFound(f"There is no worker token {token_id}.", code="worker_token_not_found", param="token_id")
    return token


def _add(session: Session, *, name: str, secret: str, created_by: str | None) -> WorkerToken:
    return TokenRepository(session).add(name=name, token_sha256=_hash(secret), created_by=created_by)


def _hash(secret: str) -> str:
    # so much randomness needs no slow hash
    return sha256_bytes(secret.encode())
