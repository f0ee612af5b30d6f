from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText
from core.serving.completions.types import Origin, Outcome


class Completion(Base):
    """An answer that is kept, and what it answers. People's words: deleted means gone."""

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
    origin: Mapped[Origin] = mapped_column(EnumText(Origin), server_default=Origin.STORED)
    outcome: Mapped[Outcome] = mapped_column(EnumText(Outcome), server_default=Outcome.SUCCEEDED)
    served_model: Mapped[str | None]
    """Who answered; `model` is who was asked."""
    release: Mapped[int | None]
    api_key_id: Mapped[str | None]
    latency_ms: Mapped[int | None]
    error_code: Mapped[str | None]
    is_masked: Mapped[bool] = mapped_column(server_default="false")


class RequestLog(WorkspaceOwned, Base):
    """Whether a workspace keeps every answer, for how long, and whether without personal data. No row: it does not."""

    __tablename__ = "request_logs"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    is_on: Mapped[bool]
    retention_days: Mapped[int]
    is_masked: Mapped[bool]
