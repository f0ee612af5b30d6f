from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class Adapter(WorkspaceOwned, Base):
    """A tuned model: the small weights that a run stitched onto a frozen base model, and where they came from."""

    __tablename__ = "adapters"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), unique=True)
    model_id: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str | None]
    base_model: Mapped[str]
    method: Mapped[str]
    quantization: Mapped[str | None]
    """How the base model's weights were held while the adapter learned; it is served the same way."""
    digest: Mapped[str]
    """sha256 of the manifest, which holds the sha256 of every file."""
    files: Mapped[list[Any]]
    key_prefix: Mapped[str]
    num_bytes: Mapped[int]
    spec: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    deleted_at: Mapped[datetime | None]
