"""Who somebody is: users, their passwords, and the browser sessions they opened. Works in a system session."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core.errors import Conflict, Invalid, NotFound, Unauthenticated
from core.identity.models import User, UserSession
from core.identity.passwords import hash_password
from core.identity.repository import UserRepository, UserSessionRepository
from core.identity.types import Browser
from core.kit.hashing import sha256_bytes

_TOKEN_BYTES = 32
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
_MAX_EMAIL_CHARS = 254
_MAX_NAME_CHARS = 100
_UNKNOWN_BROWSER = Browser()


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session and its token, which is shown to the browser once and never stored."""

    session: UserSession
    token: str


def create_user(session: Session, *, email: str, name: str, password: str | None) -> User:
    """A person; without a password, they sign in another way.

    Raises `Invalid` for a bad address or password, `Conflict` if the address is taken.
    """
    address = normal_email(email)
    users = UserRepository(session)
    if users.by_email(address):
        raise Conflict(f"There is a user with the address {address} already.", code="email_taken", param="email")
    password_hash = None if password is None else hash_password(password)
    return users.add(email=address, name=name.strip() or address, password_hash=password_hash)


def get_user(session: Session, *, user_id: str) -> User:
    user = UserRepository(session).get(user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.", code="user_not_found")
    return user


def find_user(session: Session, *, email: str) -> User | None:
    return UserRepository(session).by_email(normal_email(email))


def first_installation_admin(session: Session) -> User | None:
    return UserRepository(session).first_installation_admin()


def has_users(session: Session) -> bool:
    """Whether anybody can have signed in yet."""
    return UserRepository(session).any()


def rename_user(session: Session, *, user_id: str, name: str) -> User:
    name = name.strip()
    if not 1 <= len(name) <= _MAX_NAME_CHARS:
        raise Invalid(f"A name has 1 to {_MAX_NAME_CHARS} characters.", code="invalid_name", param="name")
    user = get_user(session, user_id=user_id)
    user.name = name
    session.flush()
    return user


def make_installation_admin(session: Session, *, user_id: str) -> User:
    """Let somebody see and steer the workers and jobs of all workspaces. They sign in anew."""
    user = get_user(session, user_id=user_id)
    user.is_installation_admin = True
    session.flush()
    end_sessions_of(session, user_id=user_id)
    return user


def open_session(session: Session, *, user_id: str, max_s: int, browser: Browser = _UNKNOWN_BROWSER) -> OpenedSession:
    sessions = UserSessionRepository(session)
    sessions.remove_expired()
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    opened = sessions.add(user_id=user_id, token_sha256=sha256_bytes(token.encode()), max_s=max_s, browser=browser)
    return OpenedSession(session=opened, token=token)


def renew_session(session: Session, *, session_id: str, max_s: int) -> OpenedSession:
    """The same browser under a new id and token, because it may do more from now on: the old ones open nothing."""
    old = UserSessionRepository(session).get(session_id)
    if old is None:
        raise Unauthenticated("The session has ended. Sign in again.", code="session_ended")
    browser = Browser(user_agent=old.user_agent, address=old.client_address)
    workspace_id = old.current_workspace_id
    end_session(session, session_id=session_id)
    renewed = open_session(session, user_id=old.user_id, max_s=max_s, browser=browser)
    renewed.session.current_workspace_id = workspace_id
    session.flush()
    return renewed


def list_sessions(session: Session, *, user_id: str, idle_s: int) -> Sequence[UserSession]:
    """Where somebody is signed in now; the latest used first."""
    return UserSessionRepository(session).live_of_user(user_id, idle_s=idle_s)


def revoke_session(session: Session, *, user_id: str, session_id: str) -> UserSession:
    """Sign one browser out. Raises `NotFound` for one that is not theirs."""
    found = UserSessionRepository(session).get(session_id)
    if found is None or found.user_id != user_id:
        raise NotFound(f"There is no session {session_id} of yours.", code="session_not_found")
    end_session(session, session_id=session_id)
    return found


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


def end_sessions_of(session: Session, *, user_id: str, except_id: str | None = None) -> int:
    """Sign somebody out everywhere, or everywhere else. Returns in how many browsers."""
    return UserSessionRepository(session).remove_of_user(user_id, except_id=except_id)


def set_password(session: Session, *, user_id: str, password: str) -> User:
    """Whoever calls this has made sure that it is the person, and ends their sessions. Raises `Invalid`."""
    user = get_user(session, user_id=user_id)
    user.password_hash = hash_password(password)
    session.flush()
    return user


def normal_email(email: str) -> str:
    """The address in lower case. Mail may never reach it, so any `somebody@somewhere` will do, admin@localhost too."""
    address = email.strip().lower()
    if len(address) > _MAX_EMAIL_CHARS or not _EMAIL.fullmatch(address):
        raise Invalid(f"{email!r} is not an e-mail address.", code="invalid_email", param="email")
    return address
