from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.adapters.types import AdapterOrigin, ProofStatus
from core.db.base import Base, WorkspaceOwned
from core.db.enum_text import EnumText


class Adapter(WorkspaceOwned, Base):
    """A tuned model: small weights for a frozen base model, and where they came from: a run, or somebody's files."""

    __tablename__ = "adapters"
    __table_args__ = (
        UniqueConstraint("run_id", "checkpoint_step"),
        CheckConstraint("(origin = 'trained') = (run_id is not null)", name="origin"),
        CheckConstraint("(origin = 'imported') = (lineage is not null)", name="lineage"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    origin: Mapped[AdapterOrigin] = mapped_column(EnumText(AdapterOrigin))
    run_id: Mapped[str | None] = mapped_column(ForeignKey("runs.id"))
    """Of one that was trained here."""
    lineage: Mapped[dict[str, Any] | None]
    """Of one that was imported: by whom, of which files, and how its base is known (`core.model_imports.lineage`)."""
    checkpoint_step: Mapped[int | None]
    """Of a state that the run passed through, the step; null for the one that the run ships."""
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
    proof_status: Mapped[ProofStatus] = mapped_column(EnumText(ProofStatus))
    proof: Mapped[dict[str, Any] | None]
    """What the last proof came to (`core.inference.types.Proof`)."""
    deleted_at: Mapped[datetime | None]


Index("uq_adapters_run_id", Adapter.run_id, unique=True, postgresql_where=Adapter.checkpoint_step.is_(None))


class CheckpointPermission(WorkspaceOwned, Base):
    """Another workspace (a project, on the wire) may use an adapter of ours in chat. It sees nothing else of it."""

    __tablename__ = "checkpoint_permissions"
    __table_args__ = (UniqueConstraint("adapter_id", "project_id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    adapter_id: Mapped[str] = mapped_column(ForeignKey("adapters.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
