from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created


class AuditEvent(Created, Base):
    """Who did what. The database refuses to change or delete one, and a chain of hashes shows if one was all the same.

    Of no workspace is what concerns the installation; only a system session sees those.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        # nulls are not distinct: what concerns the installation is one chain too
        Index(
            "ix_audit_events_workspace_id_sequence",
            "workspace_id",
            "sequence",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_audit_events_workspace_id_target_id", "workspace_id", "target_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id"))
    actor_user_id: Mapped[str]
    actor_api_key_id: Mapped[str | None]
    # as it was then: people change their names and leave
    actor_name: Mapped[str]
    action: Mapped[str]
    target_id: Mapped[str]
    details: Mapped[dict[str, Any]]
    request_id: Mapped[str | None]
    client_address: Mapped[str | None]
    user_agent: Mapped[str | None]
    """The family of programs it was done with: `Firefox`, `openai-python`."""
    sequence: Mapped[int]
    """Its place in its chain, from 1, without gaps."""
    hash: Mapped[str]
    """See `core.audit.chain`."""


class AuditChain(Base):
    """The end of a chain, held by whoever appends to it until they commit."""

    __tablename__ = "audit_chains"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The workspace's, or `installation`."""
    workspace_id: Mapped[str | None] = mapped_column(ForeignKey("workspaces.id"))
    sequence: Mapped[int]
    hash: Mapped[str]
