from datetime import datetime

from sqlalchemy import ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText
from core.serving.completions.types import Outcome


class ServedRequest(WorkspaceOwned, Base):
    """A question that reached a model, and how that went: figures alone, nothing of what was said or by whom.

    Kept for as long as a page shows it. What it cost is in the ledger.
    """

    __tablename__ = "served_requests"
    __table_args__ = (
        Index("ix_served_requests_workspace_id_model_created_at", "workspace_id", "model", "created_at"),
        Index(
            "ix_served_requests_workspace_id_alias_created_at",
            "workspace_id",
            "alias",
            "created_at",
            postgresql_where="alias is not null",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    """Of the completion."""
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    """Who asked; a model that is shared may be another's."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    model: Mapped[str]
    alias: Mapped[str | None]
    outcome: Mapped[Outcome] = mapped_column(EnumText(Outcome))
    error_code: Mapped[str | None]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    first_token_ms: Mapped[int | None]
    """From the question's way to the runtime to the first words; null where there were none."""
    total_ms: Mapped[int]
