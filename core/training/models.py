"""A run: what was asked, what it was resolved to, what it came to. How far it is, the job says."""

from typing import Any

from sqlalchemy import Double, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, WorkspaceOwned


class Run(WorkspaceOwned, Base):
    """A training run; on the wire a fine-tuning job."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_workspace_id_id", "workspace_id", "id"),
        Index("ix_runs_without_metadata", "workspace_id", "id", postgresql_where="metadata is null"),
    )

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    name: Mapped[str | None]
    suffix: Mapped[str | None]
    base_model: Mapped[str]
    dataset_version_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id"), index=True)
    validation_version_id: Mapped[str | None] = mapped_column(ForeignKey("dataset_versions.id"), index=True)
    training_file_id: Mapped[str | None]
    validation_file_id: Mapped[str | None]
    recipe: Mapped[str]
    request: Mapped[dict[str, Any]]
    """The asked-for knobs (`RunRequest`), "auto" where nothing was asked."""
    user_metadata: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    seed: Mapped[int]
    spec: Mapped[dict[str, Any] | None]
    """The resolved `TrainingSpec`; none until the dataset version is ready."""
    estimate: Mapped[dict[str, Any] | None]
    hardware: Mapped[str]
    price_micros_per_hour: Mapped[int | None]
    """The price in force when the run was planned; the run is settled at this one."""
    results: Mapped[dict[str, Any] | None]
    trained_tokens: Mapped[int | None]
    seconds: Mapped[float | None] = mapped_column(Double)
    cost_micros: Mapped[int | None]
    base_heldout_loss: Mapped[float | None] = mapped_column(Double)
    tuned_heldout_loss: Mapped[float | None] = mapped_column(Double)
    cloned_from: Mapped[str | None]
    """The run that this one repeats with a change."""
    max_cost_micros: Mapped[int | None]
    """The run pauses when it has cost this much."""
    adapter_id: Mapped[str | None] = mapped_column(ForeignKey("adapters.id", use_alter=True))
    result_file_id: Mapped[str | None] = mapped_column(ForeignKey("files.id"))
    """Its curve, of a run that succeeded."""


class RunMetadata(WorkspaceOwned, Base):
    """A pair of a run's metadata once more, to find runs by.

    Row-level security lets an index of `jsonb` containment be used for nothing: what that operator says of a foreign
    row could leak, so every row of the workspace would be read before it.
    """

    __tablename__ = "run_metadata"

    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True, index=True)


class RunCheckpoint(WorkspaceOwned, Base):
    """A place to continue from, whole and verified in the object store. Nobody but the run's next attempt reads it."""

    __tablename__ = "run_checkpoints"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    key_prefix: Mapped[str]
    digest: Mapped[str]
    """sha256 of its manifest."""
    num_bytes: Mapped[int]


class ScalingStudy(WorkspaceOwned, Base):
    """Whether there are enough rows: the same training on a quarter, a half and all of those of a dataset version."""

    __tablename__ = "scaling_studies"

    id: Mapped[str] = mapped_column(primary_key=True)
    created_by: Mapped[str | None]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    dataset_version_id: Mapped[str] = mapped_column(ForeignKey("dataset_versions.id"), index=True)
    base_model: Mapped[str]
    spec: Mapped[dict[str, Any]]
    """The `TrainingSpec` for all rows."""
    estimate: Mapped[dict[str, Any]]
    hardware: Mapped[str]
    price_micros_per_hour: Mapped[int]
    num_train: Mapped[int]
    measured: Mapped[list[Any]]
    """The parts that are done (`Measured`), the smallest first."""
    judgement: Mapped[dict[str, Any] | None]
    """What the parts say together, once all are done."""
    seconds: Mapped[float | None] = mapped_column(Double)
    cost_micros: Mapped[int | None]
