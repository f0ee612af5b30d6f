"""The optimizer of a run: one group of parameters for each learning rate; and its state, to save and to take back."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from core.training.spec import TrainingSpec
from worker.training.methods.model import TunableModel

_BETAS = (0.9, 0.999)
_CONSTANTS = ("qmap1", "qmap2")  # the 256 values of 8-bit moments: the same for every weight and run


def build(spec: TrainingSpec, model: TunableModel, *, say: Callable[[str], None]) -> torch.optim.Optimizer:
    """AdamW; each group has a `rate_scale`, by which the loop multiplies the rate of the schedule.

    The moments of `adamw_8bit` are 8-bit numbers with a scale for every 256 (Dettmers et al. 2022); weights of fewer
    than 4,096 numbers keep whole ones. `paged_adamw_8bit` lets a card move them to the machine's memory when it needs
    the room (QLoRA). On a processor they lie there anyway: `say` is told, and nothing is paged.
    """
    groups: dict[float, list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.trainable().items():
        groups[model.rate_scale(name)].append(parameter)
    of_groups = [{"params": parameters, "rate_scale": scale} for scale, parameters in groups.items()]
    options: dict[str, Any] = {"lr": spec.learning_rate, "betas": _BETAS, "weight_decay": spec.weight_decay}
    if spec.optimizer == "adamw":
        return torch.optim.AdamW(of_groups, **options)
    from bitsandbytes.optim import AdamW8bit  # noqa: PLC0415 - a slow import that the usual optimizer does without

    is_paged = spec.optimizer == "paged_adamw_8bit"
    if is_paged and model.device == "cpu":
        is_paged = False
        say("This machine trains on its processor, so the optimizer's state is in its memory already and is not paged.")
    optimizer: torch.optim.Optimizer = AdamW8bit(of_groups, is_paged=is_paged, **options)
    return optimizer


def state_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """All state by the name of the weight that it belongs to; none before the first step."""
    return {
        f"{name}.{key}": torch.as_tensor(value)
        for name, weight in parameters.items()
        for key, value in optimizer.state.get(weight, {}).items()
        if key not in _CONSTANTS
    }


@torch.no_grad()
def restore(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Takes back what `state_tensors` gave."""
    saved: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for place, tensor in tensors.items():
        name, _, key = place.rpartition(".")
        saved[name][key] = tensor
    names = {weight: name for name, weight in parameters.items()}
    for index, group in enumerate(optimizer.param_groups):
        for place_in_group, weight in enumerate(group["params"]):
            state = saved.get(names[weight])
            if state is None:
                continue
            if isinstance(optimizer, torch.optim.AdamW):
                # counts of steps stay on the processor, where torch keeps them
                optimizer.state[weight] = {
                    key: tensor if tensor.ndim == 0 else tensor.to(weight.device) for key, tensor in state.items()
                }
            else:
                _fill(optimizer, group, weight, index, place_in_group, state)


def _fill(
    optimizer: Any,  # noqa: ANN401 - bitsandbytes has no types
    group: dict[str, Any],
    weight: nn.Parameter,
    index: int,
    place_in_group: int,
    saved: Mapping[str, Tensor],
) -> None:
    """Into buffers that bitsandbytes makes itself, paged ones too."""
    optimizer.init_state(group, weight, index, place_in_group)
    state = optimizer.state[weight]
    for key, tensor in saved.items():
        if isinstance(state[key], Tensor):
            state[key].copy_(tensor)
        else:
            state[key] = type(state[key])(tensor)
