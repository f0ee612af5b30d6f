"""The optimizer of a run: one group of parameters for each learning rate."""

from collections import defaultdict

import torch
from torch import nn

from core.training.spec import TrainingSpec
from worker.training.methods.model import TunableModel

_BETAS = (0.9, 0.999)


def build(spec: TrainingSpec, model: TunableModel) -> torch.optim.Optimizer:
    """AdamW; each group has a `rate_scale`, by which the loop multiplies the rate of the schedule."""
    groups: dict[float, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.trainable().items():
        groups[model.rate_scale(name)].append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "rate_scale": scale} for scale, parameters in groups.items()],
        lr=spec.learning_rate,
        betas=_BETAS,
        weight_decay=spec.weight_decay,
    )
