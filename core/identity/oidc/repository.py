from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core.identity.models import LinkedIdentity, OidcFlow
from core.kit.ids import new_id


class OidcFlowRepository:
    """Works in a system session, like everything about people."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, token_sha256: str, return_to: str, user_id: str | None, max_age_s: int) -> None:
        self._session.execute(delete(OidcFlow).where(OidcFlow.expires_at <= func.now()))
        now = self._session.scalars(select(func.now())).one()
        self._session.add(
            OidcFlow(
                token_sha256=token_sha256,
                return_to=return_to,
                user_id=user_id,
                expires_at=now + timedelta(seconds=max_age_s),
            )
        )
        self._session.flush()

    def take(self, token_sha256: str) -> OidcFlow | None:
        """The flow, which exists no longer: of two that come back at once one gets it."""
        return self._session.scalar(
            delete(OidcFlow)
            .where(OidcFlow.token_sha256 == token_sha256, OidcFlow.expires_at > func.now())
            .returning(OidcFlow)
        )


class LinkedIdentityRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def by_subject(self, *, issuer: str, subject: str) -> LinkedIdentity | None:
        return self._session.scalar(
            select(LinkedIdentity).where(LinkedIdentity.issuer == issuer, LinkedIdentity.subject == subject)
        )

    def of_user(self, user_id: str) -> Sequence[LinkedIdentity]:
        return self._session.scalars(
            select(LinkedIdentity).where(LinkedIdentity.user_id == user_id).order_by(LinkedIdentity.id)
        ).all()

    def add(self, *, user_id: str, issuer: str, subject: str, email: str | None) -> LinkedIdentity:
        found = LinkedIdentity(
            id=new_id("idn_"),
            user_id=user_id,
            issuer=issuer,
            subject=subject,
            email=email,
            last_used_at=self._session.scalars(select(func.now())).one(),
        )
        self._session.add(found)
        self._session.flush()
        return found

    def note_use(self, found: LinkedIdentity, *, email: str | None) -> None:
        found.last_used_at = self._session.scalars(select(func.now())).one()
        found.email = email or found.email
        self._session.flush()

    def remove(self, found: LinkedIdentity) -> None:
        self._session.delete(found)
        self._session.flush()
