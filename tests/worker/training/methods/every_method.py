"""Every method, small; and models that have learned something by it without a run."""

from pathlib import Path

import torch

from core.training.methods import (
    DoraMethod,
    FullMethod,
    LoraMethod,
    LoraPlusMethod,
    Method,
    PissaMethod,
    PromptTuningMethod,
    QloraMethod,
    RsloraMethod,
)
from worker.training.batches import MicroBatch
from worker.training.methods import registry
from worker.training.methods.model import Machine, TunableModel
from worker.training.objectives.objective import Totals
from worker.training.objectives.sft import Sft

METHODS: dict[str, Method] = {
    "lora": LoraMethod(rank=4, alpha=8),
    "qlora": QloraMethod(rank=4, alpha=8),
    "rslora": RsloraMethod(rank=4, alpha=8),
    "rslora_nf4": RsloraMethod(rank=4, alpha=8, quantization="nf4"),
    "dora": DoraMethod(rank=4, alpha=8),
    "dora_nf4": DoraMethod(rank=4, alpha=8, quantization="nf4"),
    "lora_plus": LoraPlusMethod(rank=4, alpha=8, learning_rate_ratio=4),
    "lora_plus_nf4": LoraPlusMethod(rank=4, alpha=8, learning_rate_ratio=4, quantization="nf4"),
    "pissa": PissaMethod(rank=4, alpha=8),
    "prompt_tuning": PromptTuningMethod(num_virtual_tokens=8),
    "prompt_tuning_nf4": PromptTuningMethod(num_virtual_tokens=8, quantization="nf4", init_text="alpha beta gamma"),
    "full": FullMethod(),
}
LOW_RANK = [name for name in METHODS if not name.startswith(("prompt", "full"))]
KEEP_BASE = [name for name in METHODS if name not in {"pissa", "full"}]


def prepare(
    base_model_dir: Path, name: str, *, seed: int = 0, dtype: torch.dtype = torch.float32, **machine: bool
) -> TunableModel:
    """As a run begins."""
    torch.manual_seed(seed)
    return registry.prepare(METHODS[name], base_model_dir, machine=Machine("cpu", dtype, **machine))


def learned(base_model_dir: Path, name: str, *, dtype: torch.dtype = torch.float32, **machine: bool) -> TunableModel:
    """Moved away from its start in every number: a B of zeros would hide half of an adapter."""
    model = prepare(base_model_dir, name, dtype=dtype, **machine)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.trainable().values():
            weight.add_(0.3 * weight.std() * torch.randn_like(weight) if weight.std() > 0 else 0)
            if not weight.any():
                weight.normal_(std=0.05)
    return model


def rows(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(3, 300, (length,), generator=generator) for length in lengths]


def batch_of(sequences: list[torch.Tensor]) -> MicroBatch:
    """Every token is trained but the first of each sequence, which nothing predicts."""
    return MicroBatch(
        token_ids_T=torch.cat(sequences),
        targets_T=torch.cat([one.roll(-1) for one in sequences]),
        weights_T=torch.cat([torch.tensor([1.0] * (len(one) - 1) + [0.0]) for one in sequences]),
        sequence_lengths=tuple(len(one) for one in sequences),
    )


def backward(model: TunableModel, sequences: list[torch.Tensor], *, of_targets: int | None = None) -> torch.Tensor:
    """The mean loss of the pack, with its gradients; or its share of a step of so many targets."""
    num_targets = of_targets or sum(len(one) - 1 for one in sequences)
    totals = Totals(
        weight=num_targets, preferred_weight=num_targets, num_targets=num_targets, num_examples=len(sequences)
    )
    loss = Sft().micro_loss(model, batch_of(sequences), totals).loss
    loss.backward()
    return loss.detach()


def logits_of(model: TunableModel, sequences: list[torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        hidden = model.hidden(torch.cat(sequences), sequence_lengths=[len(one) for one in sequences])
        logits: torch.Tensor = model.head(hidden)
    return logits
