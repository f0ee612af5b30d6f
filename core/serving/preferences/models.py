from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText
from core.serving.preferences.types import VoteVerdict


class Preference(WorkspaceOwned, Base):
    """What somebody preferred among answers to one question. Its words can be erased; that it was a vote stays."""

    __tablename__ = "preferences"
    __table_args__ = (
        CheckConstraint("verdict in ('best', 'all_equal', 'all_bad')", name="verdict"),
        CheckConstraint("(verdict = 'best') = (best is not null)", name="best"),
        Index("ix_preferences_workspace_id_id", "workspace_id", "id"),
    )

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    messages: Mapped[list[Any]]
    """What was asked, with what all were told first."""
    answers: Mapped[list[Any]]
    """`GivenAnswer`s as they were shown, the first first."""
    parameters: Mapped[dict[str, Any]]
    """How all of them answered: temperature and the like."""
    verdict: Mapped[VoteVerdict] = mapped_column(EnumText(VoteVerdict))
    best: Mapped[int | None]
    """The place of the answer that was preferred."""
    is_blind: Mapped[bool]
    """Whether who voted did not know which was which."""
    erased_at: Mapped[datetime | None]
