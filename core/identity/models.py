from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created


class User(Created, Base):
    """A person who may sign in. What they may do is a membership's business."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    """None for who has no password, and signs in by the single sign-on alone."""
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
    # when it was opened: for the person to recognise
    user_agent: Mapped[str | None]
    client_address: Mapped[str | None]


class SignInAttempt(Created, Base):
    """An attempt to sign in that has not succeeded. Written before the password is looked at."""

    __tablename__ = "sign_in_attempts"
    __table_args__ = (
        Index("ix_sign_in_attempts_email_created_at", "email", "created_at"),
        Index("ix_sign_in_attempts_client_created_at", "client", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    # whose attempt it was, as far as the network tells
    client: Mapped[str | None]


class PasswordReset(Created, Base):
    """A link by which a new password may be set once. Only the hash of its token is kept."""

    __tablename__ = "password_resets"
    __table_args__ = (Index("ix_password_resets_email_created_at", "email", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    # null where nobody has the address: asking leaves the same trace and costs the same time
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class TotpFactor(Created, Base):
    """The secret that a person's authenticator app shares with us, sealed. Asked for once it is confirmed."""

    __tablename__ = "totp_factors"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    sealed_secret: Mapped[str]
    confirmed_at: Mapped[datetime | None]
    # of the last code that was accepted: that one, and those before, are not accepted again
    last_step: Mapped[int | None]


class RecoveryCode(Created, Base):
    """Stands in for a code of the app, once: using it deletes it."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    code_sha256: Mapped[str] = mapped_column(primary_key=True)


class LinkedIdentity(Created, Base):
    """Who a person is at the OpenID provider. The issuer's subject never changes hands; an address may."""

    __tablename__ = "linked_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    email: Mapped[str | None]
    last_used_at: Mapped[datetime]


class OidcFlow(Created, Base):
    """A browser that was sent to the OpenID provider and has not come back yet."""

    __tablename__ = "oidc_flows"

    token_sha256: Mapped[str] = mapped_column(primary_key=True)
    # a path of ours
    return_to: Mapped[str]
    # who links the identity that comes back; null for who signs in with it
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(index=True)
