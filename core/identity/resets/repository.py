from datetime import timedelta

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from core.identity.models import PasswordReset
from core.kit.ids import new_id

_KEPT = timedelta(days=1)


class PasswordResetRepository:
    """Works in a system session, like everything about people."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, email: str) -> None:
        """One at a time for an address, until the transaction ends, so that the count holds."""
        self._session.execute(
            text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"reset {email}"}
        )

    def recent(self, email: str, *, window_s: int) -> tuple[int, float]:
        """How many were asked for in the window, and the seconds until the oldest of them leaves it."""
        num, oldest_age_s = self._session.execute(
            select(func.count(), func.extract("epoch", func.now() - func.min(PasswordReset.created_at))).where(
                PasswordReset.email == email, PasswordReset.created_at > func.now() - timedelta(seconds=window_s)
            )
        ).one()
        return num, window_s - float(oldest_age_s or 0)

    def add(self, *, email: str, user_id: str | None, token_sha256: str, max_age_s: int) -> PasswordReset:
        self._session.execute(delete(PasswordReset).where(PasswordReset.created_at < func.now() - _KEPT))
        now = self._session.scalars(select(func.now())).one()
        found = PasswordReset(
            id=new_id("reset_"),
            email=email,
            user_id=user_id,
            token_sha256=token_sha256,
            expires_at=now + timedelta(seconds=max_age_s),
        )
        self._session.add(found)
        self._session.flush()
        return found

    def take(self, token_sha256: str) -> str | None:
        """Whose link it is, which is used now, with every other of theirs; None for a bad one. Of two, one gets it."""
        user_id = self._session.scalar(
            update(PasswordReset)
            .where(
                PasswordReset.token_sha256 == token_sha256,
                PasswordReset.used_at.is_(None),
                PasswordReset.expires_at > func.now(),
            )
            .values(used_at=func.now())
            .returning(PasswordReset.user_id)
        )
        if user_id is not None:
            self.use_all(user_id)
        return user_id

    def use_all(self, user_id: str) -> None:
        self._session.execute(
            update(PasswordReset)
            .where(PasswordReset.user_id == user_id, PasswordReset.used_at.is_(None))
            .values(used_at=func.now())
        )
