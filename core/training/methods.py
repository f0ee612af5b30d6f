"""How the base is changed: one closed union of methods. Each is prepared by one file of `worker/training/methods`.

`quantization` says how the base's linear layers are kept while they are trained around and, later, served.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Quantization = Literal["nf4"]
TargetModules = Literal["all-linear", "attention", "mlp"]


class Closed(BaseModel):
    """Unknown fields are refused, so that a misspelt setting never trains silently with its default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _LowRank(Closed):
    rank: int = Field(16, ge=1, le=256, description="Width of the learned matrices.")
    alpha: int = Field(32, ge=1, le=1024, description="Scale of the learned matrices; alpha / rank multiplies them.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of the adapter's inputs dropped while training.")
    target_modules: TargetModules = Field(
        "all-linear", description="Every linear layer but the output head: attention-only learns less at any rank."
    )


class _MaybeQuantized(Closed):
    quantization: Quantization | None = Field(None, description="`nf4` keeps the frozen base in 4 bits, as QLoRA does.")


class LoraMethod(_LowRank):
    """LoRA (Hu et al. 2021): W x + (alpha / rank) B A x with W frozen in bfloat16, A and B trained in float32."""

    type: Literal["lora"] = "lora"


class QloraMethod(_LowRank):
    """QLoRA (Dettmers et al. 2023): LoRA over a base whose linear layers are kept in 4-bit NormalFloat."""

    type: Literal["qlora"] = "qlora"
    quantization: Quantization = Field("nf4", description="The 4-bit data type of the frozen weights.")
    double_quantization: Literal[True] = Field(True, description="The scales of the 4-bit blocks are quantised too.")


class RsloraMethod(_LowRank, _MaybeQuantized):
    """Rank-stabilised LoRA (Kalajdzievski 2023): scale alpha / sqrt(rank), so that high ranks learn as they should."""

    type: Literal["rslora"] = "rslora"


class DoraMethod(_LowRank, _MaybeQuantized):
    """DoRA (Liu et al. 2024): a learned length for each output, and LoRA for the direction of its weights."""

    type: Literal["dora"] = "dora"


class LoraPlusMethod(_LowRank, _MaybeQuantized):
    """LoRA+ (Hayou et al. 2024): LoRA whose B learns faster than its A by a fixed ratio."""

    type: Literal["lora_plus"] = "lora_plus"
    learning_rate_ratio: float = Field(16.0, ge=1, le=64, description="Rate of B over rate of A.")


class PissaMethod(_LowRank):
    """PiSSA (Meng et al. 2024): LoRA that starts at the weights' largest singular directions.

    What is shipped is plain LoRA over the unchanged base, of twice the rank; so at most 128.
    """

    type: Literal["pissa"] = "pissa"
    rank: int = Field(16, ge=1, le=128, description="Width of the learned matrices.")
    num_iterations: int = Field(16, ge=2, le=64, description="Of the randomised singular value decomposition.")


class PromptTuningMethod(_MaybeQuantized):
    """Prompt tuning (Lester et al. 2021): learned vectors before the conversation, and nothing else."""

    type: Literal["prompt_tuning"] = "prompt_tuning"
    num_virtual_tokens: int = Field(20, ge=1, le=512, description="Learned vectors before every conversation.")
    init_text: str | None = Field(
        None, min_length=1, max_length=4000, description="Words whose embeddings they start from; random words if none."
    )


class FullMethod(Closed):
    """Every weight learns: the baseline that the others are compared with."""

    type: Literal["full"] = "full"


LowRankMethod = LoraMethod | QloraMethod | RsloraMethod | DoraMethod | LoraPlusMethod | PissaMethod
Method = Annotated[LowRankMethod | PromptTuningMethod | FullMethod, Field(discriminator="type")]


def quantization_of(method: Method) -> Quantization | None:
    """How the base's linear layers are kept, for loading the same base to train and to serve."""
    if isinstance(method, QloraMethod | RsloraMethod | DoraMethod | LoraPlusMethod | PromptTuningMethod):
        return method.quantization
    return None
