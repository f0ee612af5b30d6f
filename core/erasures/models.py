from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class Erasure(WorkspaceOwned, Base):
    """A search for a person's rows, and their removal once it is confirmed. Done, it is the receipt."""

    __tablename__ = "erasures"
    __table_args__ = (Index("ix_erasures_workspace_id_id", "workspace_id", "id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    sealed_terms: Mapped[str | None]
    """What is looked for, sealed; gone when all of it is removed."""
    num_terms: Mapped[int]
    found: Mapped[dict[str, Any]]
    """`core.erasures.types.Found`; while rows are removed, also how far that is."""
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"), unique=True)
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
