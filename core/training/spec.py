"""What a training run is told: one closed document. The api validates it, the trainer gets it, the adapter keeps it.

It names no file and no machine; `RunInput` adds what the trainer needs to know about where it runs.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from core.training.methods import Closed, FullMethod, Method, PissaMethod, QloraMethod
from core.training.objectives import DpoObjective, Objective, SftObjective

MAX_LEARNING_RATE = 0.1
HELDOUT_LOSSES_NAME = "heldout_losses.json"


class TrainingSpec(Closed):
    """All that decides what is learned: equal spec, data, hardware and versions give the same adapter, bit by bit."""

    base_model: str = Field(min_length=1, max_length=200, description="Id in the catalogue of base models.")
    method: Method = Field(default_factory=QloraMethod)
    objective: Objective = Field(default_factory=SftObjective)
    num_epochs: int = Field(1, ge=1, le=50, description="Times that every row is seen.")
    max_seen_tokens: int | None = Field(
        None,
        ge=1,
        description="Training ends with the step that reaches this many tokens, prompts included.",
    )
    learning_rate: float = Field(2e-4, gt=0, le=MAX_LEARNING_RATE, description="Peak of the schedule.")
    batch_size: int = Field(16, ge=1, le=256, description="Rows per optimizer step, however they are split in memory.")
    max_length_tokens: int = Field(1024, ge=8, le=131072, description="Longer rows lose their end.")
    warmup_ratio: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the rate rises from zero.")
    schedule: Literal["linear", "cosine", "constant"] = Field("cosine", description="How the rate falls after warm-up.")
    weight_decay: float = Field(0.0, ge=0, le=1, description="Decoupled decay of the adapter's weights.")
    max_grad_norm: float = Field(1.0, gt=0, le=100, description="Gradients are scaled down to this global norm.")
    seed: int = Field(42, ge=0, le=2**31 - 1, description="Decides the first weights and the order of the rows.")
    eval_every_steps: int | None = Field(
        None, ge=1, description="Held-out rows are also measured this often; the best adapter ships."
    )
    max_heldout_rows: int = Field(200, ge=1, le=5000, description="Held-out rows measured, the first by number.")
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Training ends after so many measurements in a row that are no better than the best."
    )
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = Field(
        "adamw", description="AdamW; with moments of 8 bits; with those in memory that is paged to the processor."
    )

    @model_validator(mode="after")
    def _has_a_reference(self) -> Self:
        if isinstance(self.objective, DpoObjective) and isinstance(self.method, FullMethod | PissaMethod):
            raise ValueError(  # noqa: TRY004 - pydantic turns it into a validation error
                f"dpo compares with the untouched base, which {self.method.type} does not keep; use orpo, or lora."
            )
        return self


class Lineage(Closed):
    """Where the data came from; copied into the adapter's manifest, read by no code of the trainer."""

    run_id: str | None = None
    attempt: int | None = None
    dataset_version_id: str | None = None
    dataset_sha256: str | None = None


class ExecutionPlan(Closed):
    """How a machine does a run; the planner chooses it for the memory that is there. It decides no result but rounding.

    `micro_batch_tokens` None is the device's usual size; `sharding` "full" spreads the frozen base over the processes.
    """

    micro_batch_tokens: int | None = Field(None, ge=64, description="Tokens of one packed micro-batch.")
    gradient_checkpointing: bool = Field(False, description="Activations are computed twice instead of kept.")
    compile: bool = Field(False, description="The decoder's layers are compiled before the first step.")
    num_processes: int = Field(1, ge=1, le=64, description="Processes that share each step, one a GPU.")
    sharding: Literal["none", "full"] = "none"


class RunInput(TrainingSpec):
    """`spec.json` in a run folder: the spec, flat, and what this machine adds to it."""

    base_model_dir: Path
    num_threads: int = Field(2, ge=1, le=1024)
    checkpoint_every_s: float = Field(60, ge=0, description="Least time between two checkpoints; 0 is every step.")
    checkpoint_every_steps: int | None = Field(None, ge=1, description="A checkpoint also after every so many steps.")
    micro_batch_divisor: int = Field(
        1, ge=1, le=64, description="Makes micro-batches smaller, for want of memory; the effective batch stays."
    )
    keep_heldout_losses: bool = Field(
        False, description="Held-out rows are measured one by one, and a file says what each came to."
    )
    execution: ExecutionPlan = Field(default_factory=ExecutionPlan)
    lineage: Lineage = Field(default_factory=Lineage)

    def training_spec(self) -> TrainingSpec:
        """The spec alone, as lineage keeps it."""
        return TrainingSpec.model_validate(self.model_dump(include=set(TrainingSpec.model_fields)))
