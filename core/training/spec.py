"""What a training run is told: one closed document. The api validates it, the trainer gets it, the adapter keeps it.

It names no file and no machine; `RunInput` adds what the trainer needs to know about where it runs.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_LEARNING_RATE = 0.1


class _Closed(BaseModel):
    """Unknown fields are refused, so that a misspelt setting never trains silently with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _LowRank(_Closed):
    rank: int = Field(16, ge=1, le=256, description="Width of the learned matrices.")
    alpha: int = Field(32, ge=1, le=1024, description="Scale of the learned matrices; alpha / rank multiplies them.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the adapter's inputs dropped while training.")
    target_modules: Literal["all-linear"] = Field(
        "all-linear", description="Every linear layer but the output head: attention-only learns less at any rank."
    )


class LoraMethod(_LowRank):
    """LoRA (Hu et al. 2021): W x + (alpha / rank) B A x with W frozen in bfloat16, A and B trained in float32."""

    type: Literal["lora"] = "lora"


class QloraMethod(_LowRank):
    """QLoRA (Dettmers et al. 2023): LoRA over a base whose linear layers are kept in 4-bit NormalFloat."""

    type: Literal["qlora"] = "qlora"
    quantization: Literal["nf4"] = Field("nf4", description="The 4-bit data type of the frozen weights.")
    double_quantization: Literal[True] = Field(True, description="The scales of the 4-bit blocks are quantised too.")


class SftObjective(_Closed):
    """Supervised fine-tuning: cross-entropy on the assistant's words only."""

    type: Literal["sft"] = "sft"


Method = Annotated[LoraMethod | QloraMethod, Field(discriminator="type")]


class TrainingSpec(_Closed):
    """All that decides what is learned: equal spec, data, hardware and versions give the same adapter, bit by bit."""

    base_model: str = Field(min_length=1, max_length=200, description="Id in the catalogue of base models.")
    method: Method = Field(default_factory=QloraMethod)
    objective: SftObjective = Field(default_factory=SftObjective)
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


class Lineage(_Closed):
    """Where the data came from; copied into the adapter's manifest, read by no code of the trainer."""

    run_id: str | None = None
    attempt: int | None = None
    dataset_version_id: str | None = None
    dataset_sha256: str | None = None


class RunInput(TrainingSpec):
    """`spec.json` in a run folder: the spec, flat, and what this machine adds to it."""

    base_model_dir: Path
    num_threads: int = Field(2, ge=1, le=1024)
    checkpoint_every_s: float = Field(60, ge=0, description="Least time between two checkpoints; 0 is every step.")
    checkpoint_every_steps: int | None = Field(None, ge=1, description="A checkpoint also after every so many steps.")
    micro_batch_divisor: int = Field(
        1, ge=1, le=64, description="Makes micro-batches smaller, for want of memory; the effective batch stays."
    )
    lineage: Lineage = Field(default_factory=Lineage)

    def training_spec(self) -> TrainingSpec:
        """The spec alone, as lineage keeps it."""
        return TrainingSpec.model_validate(self.model_dump(include=set(TrainingSpec.model_fields)))
