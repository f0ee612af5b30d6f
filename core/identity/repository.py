from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select, text, update
from sqlalchemy.orm import Session

from core.identity.models import SignInAttempt, User, UserSession
from core.identity.types import Browser
from core.kit.ids import new_id

_MAX_USER_AGENT_CHARS = 400


class UserRepository:
    """Users and their sessions stand above workspaces, so this repository has no workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, email: str, name: str, password_hash: str | None) -> User:
        user = User(id=new_id("user_"), email=email, name=name, password_hash=password_hash)
        self._session.add(user)
        self._session.flush()
        return user

    def get(self, user_id: str) -> User | None:
        return self._session.get(User, user_id)

    def by_email(self, email: str) -> User | None:
        return self._session.scalar(select(User).where(User.email == email))

    def first_installation_admin(self) -> User | None:
        return self._session.scalar(select(User).where(User.is_installation_admin).order_by(User.id).limit(1))

    def any(self) -> bool:
        return self._session.scalar(select(exists().select_from(User))) or False


class UserSessionRepository:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, *, user_id: str, token_sha256: str, max_s: int, browser: Browser) -> UserSession:
        now = self._now()
        found = UserSession(
            id=new_id("sess_"),
            user_id=user_id,
            token_sha256=token_sha256,
            last_seen_at=now,
            expires_at=now + timedelta(seconds=max_s),
            user_agent=browser.user_agent and browser.user_agent[:_MAX_USER_AGENT_CHARS],
            client_address=browser.address,
        )
        self._session.add(found)
        self._session.flush()
        return found

    def get(self, session_id: str) -> UserSession | None:
        return self._session.get(UserSession, session_id)

    def live_of_user(self, user_id: str, *, idle_s: int) -> Sequence[UserSession]:
        return self._session.scalars(
            select(UserSession)
            .where(
                UserSession.user_id == user_id,
                UserSession.expires_at > func.now(),
                UserSession.last_seen_at > func.now() - timedelta(seconds=idle_s),
            )
            .order_by(UserSession.last_seen_at.desc(), UserSession.id.desc())
        ).all()

    def live(self, token_sha256: str, *, idle_s: int) -> tuple[UserSession, bool] | None:
        """The session of a token that is neither idle nor too old, and whether its last-seen time is a minute old."""
        row = self._session.execute(
            select(UserSession, UserSession.last_seen_at < func.now() - timedelta(minutes=1)).where(
                UserSession.token_sha256 == token_sha256,
                UserSession.expires_at > func.now(),
                UserSession.last_seen_at > func.now() - timedelta(seconds=idle_s),
            )
        ).one_or_none()
        return None if row is None else (row[0], row[1])

    def touch(self, session_id: str) -> None:
        self._session.execute(update(UserSession).where(UserSession.id == session_id).values(last_seen_at=func.now()))

    def choose_workspace(self, session_id: str, workspace_id: str) -> None:
        self._session.execute(
            update(UserSession).where(UserSession.id == session_id).values(current_workspace_id=workspace_id)
        )

    def remove(self, session_id: str) -> None:
        self._session.execute(delete(UserSession).where(UserSession.id == session_id))

    def remove_of_user(self, user_id: str, *, except_id: str | None = None) -> int:
        removed = self._session.scalars(
            delete(UserSession)
            .where(UserSession.user_id == user_id, UserSession.id != (except_id or ""))
            .returning(UserSession.id)
        )
        return len(removed.all())

    def remove_expired(self) -> None:
        self._session.execute(delete(UserSession).where(UserSession.expires_at <= func.now()))

    def _now(self) -> datetime:
        return self._session.scalars(select(func.now())).one()


class SignInAttemptRepository:
    """Counted twice: by the address that is tried, and by whoever tries."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, key: str) -> None:
        """One at a time for a key, until the transaction ends: else parallel guesses would outrun the count."""
        self._session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})

    def recent_of_email(self, email: str, *, window_s: int) -> tuple[int, float]:
        """How many attempts there were in the window, and the seconds until the oldest of them leaves it."""
        return self._recent(SignInAttempt.email == email, window_s)

    def recent_of_client(self, client: str, *, window_s: int) -> tuple[int, float]:
        return self._recent(SignInAttempt.client == client, window_s)

    def add(self, email: str, *, client: str | None) -> None:
        self._session.add(SignInAttempt(id=new_id("try_"), email=email, client=client))
        self._session.flush()

    def clear(self, email: str, *, window_s: int) -> None:
        """Forget the attempts of an address, and everyone's that left the window."""
        self._session.execute(
            delete(SignInAttempt).where(
                (SignInAttempt.email == email) | (SignInAttempt.created_at <= func.now() - timedelta(seconds=window_s))
            )
        )

    def _recent(self, whose: ColumnElement[bool], window_s: int) -> tuple[int, float]:
        num, oldest_age_s = self._session.execute(
            select(func.count(), func.extract("epoch", func.now() - func.min(SignInAttempt.created_at))).where(
                whose, SignInAttempt.created_at > func.now() - timedelta(seconds=window_s)
            )
        ).one()
        return num, window_s - float(oldest_age_s or 0)
