"""The weight of a frozen linear layer as numbers, however it is stored.

A 4-bit layer is unpacked at each use, twice per micro-batch (forward, backward): a copy kept between them would give
back the memory that 4 bits save. It takes 5 % of the time of the product of 512 tokens that follows it on a processor
(0.04 s of one core for all of SmolLM2-135M's layers), half of that at 1,024 tokens.
"""

from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn import Linear4bit
from torch import Tensor, nn


def is_frozen_linear(layer: nn.Module) -> bool:
    """Whether `dense_weight` can give its weight, and nobody learns it: plain, or NF4/FP4 of bitsandbytes."""
    if type(layer) is nn.Linear:
        return layer.weight.is_floating_point() and not any(weight.requires_grad for weight in layer.parameters())
    return isinstance(layer, Linear4bit) and (layer.bias is None or not layer.bias.requires_grad)


def dense_weight(layer: nn.Module, dtype: torch.dtype) -> Tensor:
    """[N outputs, K inputs] in `dtype`: the weight itself if it is kept so, otherwise a copy that the caller drops."""
    weight: Any = layer.weight
    if not isinstance(layer, Linear4bit):
        return cast("Tensor", weight.detach().to(dtype))
    # a weight that was put together from its parts (`sharding.py`) has lost it; the layer has not
    state = getattr(weight, "quant_state", None) or layer.quant_state
    if getattr(state, "packing_format_for_cpu", False):
        # bitsandbytes does so when a layer in eval mode is asked for an answer, and there is no way back to the numbers
        raise ValueError("this 4-bit weight was repacked for inference: keep the base in training mode")
    return cast("Tensor", dequantize_4bit(weight.detach(), state).to(dtype))
