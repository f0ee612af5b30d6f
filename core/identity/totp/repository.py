from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.identity.models import RecoveryCode, TotpFactor


class TotpRepository:
    """Works in a system session, like everything about people."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, user_id: str) -> TotpFactor | None:
        return self._session.get(TotpFactor, user_id, populate_existing=True)

    def begin(self, user_id: str, *, sealed_secret: str) -> bool:
        """Keep a secret that is not confirmed yet, in place of another such; False if one is confirmed."""
        statement = insert(TotpFactor).values(user_id=user_id, sealed_secret=sealed_secret)
        kept = self._session.scalar(
            statement.on_conflict_do_update(
                index_elements=["user_id"],
                set_={"sealed_secret": sealed_secret, "last_step": None, "created_at": func.now()},
                where=TotpFactor.confirmed_at.is_(None),
            ).returning(TotpFactor.user_id)
        )
        return kept is not None

    def confirm(self, user_id: str) -> None:
        self._session.execute(update(TotpFactor).where(TotpFactor.user_id == user_id).values(confirmed_at=func.now()))

    def take_step(self, user_id: str, step: int) -> bool:
        """Whether no code of this step, or a later one, was taken before; of two at once one gets it."""
        taken = self._session.scalar(
            update(TotpFactor)
            .where(TotpFactor.user_id == user_id, TotpFactor.last_step.is_(None) | (TotpFactor.last_step < step))
            .values(last_step=step)
            .returning(TotpFactor.user_id)
        )
        return taken is not None

    def remove(self, user_id: str) -> bool:
        self._session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        removed = self._session.scalar(
            delete(TotpFactor).where(TotpFactor.user_id == user_id).returning(TotpFactor.user_id)
        )
        return removed is not None

    def replace_recovery_codes(self, user_id: str, hashes: Iterable[str]) -> None:
        self._session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        self._session.add_all(RecoveryCode(user_id=user_id, code_sha256=code_sha256) for code_sha256 in hashes)
        self._session.flush()

    def take_recovery_code(self, user_id: str, code_sha256: str) -> bool:
        taken = self._session.scalar(
            delete(RecoveryCode)
            .where(RecoveryCode.user_id == user_id, RecoveryCode.code_sha256 == code_sha256)
            .returning(RecoveryCode.user_id)
        )
        return taken is not None

    def count_recovery_codes(self, user_id: str) -> int:
        num = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id)
        return self._session.scalar(num) or 0

    def all_locked(self) -> Sequence[TotpFactor]:
        """Held until the transaction ends, so that none is enrolled anew while it is sealed anew."""
        return self._session.scalars(select(TotpFactor).order_by(TotpFactor.user_id).with_for_update()).all()
