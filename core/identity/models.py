from datetime import datetime

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created


class User(Created, Base):
    """A person who may sign in. What they may do is a membership's business."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    is_installation_admin: Mapped[bool] = mapped_column(default=False, server_default=false())
    """May see and steer the jobs, workers and limits of all workspaces."""


class UserSession(Created, Base):
    """A browser that signed in. Only the hash of its token is kept, so that a copied table opens nothing."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    current_workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id"))
    """Which workspace the browser looks at; a choice, which gives no right to it."""


class SignInAttempt(Created, Base):
    """An attempt to sign in that has not succeeded. Written before the password is looked at."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (Index("ix_sign_in_attempts_email_created_at", "email", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
