from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created, WorkspaceOwned


class Workspace(Created, Base):
    """Whose everything is: files, runs, adapters, members. Nothing is shared between two of them."""

    __tablename__ = "workspaces"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    # part of the names of its models
    slug: Mapped[str] = mapped_column(unique=True)
    max_stored_bytes: Mapped[int | None]
    """What its files may take together; null for the installation's default."""


class Membership(WorkspaceOwned, Base):
    __tablename__ = "memberships"
    __table_args__ = (CheckConstraint("role in ('viewer', 'reviewer', 'member', 'admin')", name="role"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str]


class ApiKey(WorkspaceOwned, Base):
    """A service's way in. It acts for the member who made it and can never do more than they can today."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("role in ('viewer', 'reviewer', 'member', 'admin')", name="role"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    last4: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
