from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class ModelImport(WorkspaceOwned, Base):
    """A model made elsewhere that somebody brings. How far it is, the job says."""

    __tablename__ = "model_imports"
    __table_args__ = (Index("ix_model_imports_workspace_id_id", "workspace_id", "id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id"), unique=True)
    """What came of it."""
    name: Mapped[str]
    base_model: Mapped[str]
    is_base_confirmed: Mapped[bool]
    """Whether the person said that it was trained on this base."""
    quantization: Mapped[str | None]
    """How the base's weights were held while it learned, as the person said."""
    files: Mapped[list[Any]]
    """`lineage.SourceFile` of each file that was named."""
    swept_at: Mapped[datetime | None]
    """When what an attempt left in the object store was removed, of one that came to nothing."""
