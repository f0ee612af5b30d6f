from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base


class Completion(Base):
    """An answer that was asked for with `store`, and what it answers. People's words: deleted means gone."""

    __tablename__ = "completions"
    # lists go through a workspace in the order of ids, and the sweep through all by age
    __table_args__ = (Index("ix_completions_workspace_id_id", "workspace_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    created_by: Mapped[str | None]
    model: Mapped[str]
    messages: Mapped[list[Any]]
    """What was asked, as it came."""
    parameters: Mapped[dict[str, Any]]
    """The other fields of the request that were given."""
    answer: Mapped[dict[str, Any]]
    """Choices, usage and fingerprint, as on the wire."""
    user_metadata: Mapped[dict[str, Any]] = mapped_column("metadata")
