from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created, WorkspaceOwned

_IS_ROLE = "role in ('viewer', 'reviewer', 'member', 'admin')"


class Workspace(Created, Base):
    """Whose everything is: files, runs, adapters, members. Nothing is shared between two of them."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    # part of the names of its models
    slug: Mapped[str] = mapped_column(unique=True)
    max_stored_bytes: Mapped[int | None]
    """What its files may take together; null for the installation's default."""
    archived_at: Mapped[datetime | None]
    """An archived one lets nobody in and keeps everything."""


class Membership(WorkspaceOwned, Base):
    __tablename__ = "memberships"
    __table_args__ = (CheckConstraint(_IS_ROLE, name="role"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str]


class ServiceAccount(WorkspaceOwned, Base):
    """A member that is a program: it has a role and API keys, and nobody signs in as it."""

    __tablename__ = "service_accounts"
    __table_args__ = (CheckConstraint(_IS_ROLE, name="role"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    role: Mapped[str]
    created_by: Mapped[str]
    deleted_at: Mapped[datetime | None]


class Invitation(WorkspaceOwned, Base):
    """A seat that is offered to an address. Only the hash of the link's token is kept."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint(_IS_ROLE, name="role"),
        Index(
            "ix_invitations_open_email",
            "workspace_id",
            "email",
            unique=True,
            postgresql_where="accepted_at is null and revoked_at is null",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str]
    role: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    invited_by: Mapped[str]
    # as it was then: who is invited reads it
    inviter_name: Mapped[str]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ApiKey(WorkspaceOwned, Base):
    """A program's way in. It acts for a person or a service account, and never does more than they may today."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint(_IS_ROLE, name="role"),
        CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="owner"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    last4: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    scopes: Mapped[list[Any] | None]
    """The rights it is limited to; null for all that its role has."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    service_account_id: Mapped[str | None] = mapped_column(ForeignKey("service_accounts.id"))
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    # the secret before the last rotation, and until when it still opens
    previous_token_sha256: Mapped[str | None] = mapped_column(unique=True)
    previous_expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    @property
    def owner_id(self) -> str:
        return self.user_id or self.service_account_id or ""
