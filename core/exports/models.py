from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Created, WorkspaceOwned


class ModelExport(WorkspaceOwned, Base):
    """A tuned model as files to take away. How far it is, the job says."""

    __tablename__ = "model_exports"
    __table_args__ = (Index("ix_model_exports_workspace_id_id", "workspace_id", "id"),)

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    adapter_id: Mapped[str] = mapped_column(ForeignKey("adapters.id"), index=True)
    format: Mapped[str]
    files: Mapped[list[Any]]
    """`StoredFile` of each, in the order of the archive; empty until all of them are stored."""
    manifest_sha256: Mapped[str | None]
    report: Mapped[dict[str, Any] | None]
    """What was measured on the way, as the manifest has it."""
    seconds: Mapped[float | None] = mapped_column(Double)
    cost_micros: Mapped[int | None]
    expires_at: Mapped[datetime | None]
    """Of one that succeeded: from then on its files are gone."""
    swept_at: Mapped[datetime | None]
    """When what it left in the object store was removed."""


class SigningKey(Created, Base):
    """The installation's key pair for manifests, one row. Whoever has a manifest may see the public half."""

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The first 16 hexadecimal digits of the sha256 of the public key."""
    public_key: Mapped[str] = mapped_column(unique=True)
    """32 bytes of base64."""
    sealed_private_key: Mapped[str]
    place: Mapped[int] = mapped_column(unique=True, default=1)
    """Always 1, so that there is never a second one."""
