from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class Alias(WorkspaceOwned, Base):
    """A stable name that traffic asks for. What it points at is its newest release."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("workspace_id", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    name: Mapped[str]
    release: Mapped[int]
    """The number of the release in force."""
    deleted_at: Mapped[datetime | None]


class AliasRelease(WorkspaceOwned, Base):
    """What an alias pointed at from a moment on. Never changed: a switch, a split and a roll-back are new ones."""

    __tablename__ = "alias_releases"
    __table_args__ = (UniqueConstraint("alias_id", "number"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    alias_id: Mapped[str] = mapped_column(ForeignKey("aliases.id"))
    number: Mapped[int]
    plan: Mapped[dict[str, Any]]
    """`core.serving.aliases.types.Plan`."""
    template_sha256s: Mapped[dict[str, Any]]
    """Of the chat template that each model was proved with, by model; a model without a proof has none."""
    rolled_back_to: Mapped[int | None]
    note: Mapped[str]


class PromptProfile(WorkspaceOwned, Base):
    """A version of what an alias says to its models before anybody speaks. Never changed."""

    __tablename__ = "prompt_profiles"
    __table_args__ = (UniqueConstraint("alias_id", "version"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    alias_id: Mapped[str] = mapped_column(ForeignKey("aliases.id"))
    version: Mapped[int]
    system_prompt: Mapped[str]
    sampling: Mapped[dict[str, Any]]
    note: Mapped[str]


class ShadowAnswer(WorkspaceOwned, Base):
    """What a shadow said beside the answer that was sent. People's words: swept as kept answers are."""

    __tablename__ = "shadow_answers"
    __table_args__ = (Index("ix_shadow_answers_alias_id_id", "alias_id", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    alias_id: Mapped[str] = mapped_column(ForeignKey("aliases.id"))
    completion_id: Mapped[str]
    release: Mapped[int]
    question: Mapped[str]
    shown_model: Mapped[str]
    shown_text: Mapped[str]
    model: Mapped[str]
    text: Mapped[str | None]
    problem: Mapped[str | None]
    """Why there is no text."""
    seconds: Mapped[float]
    tokens: Mapped[int]
