"""DoRA: a learned length for each output of a layer, and LoRA for the direction of its weights.

    y = m * (W + s B A) x / |W + s B A|        |.| the length of each row, taken as constant by the gradient

Liu et al. 2024. m starts at |W|, so that nothing changes yet.
"""

from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.utils.integrations import dequantize_module_weight

from core.training.methods import DoraMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: DoraMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    model = base.load(model_dir, machine, quantization=method.quantization)
    tuned = adapters.attach(model, method, machine=machine, use_dora=True)
    _measure_lengths(tuned.peft_model)
    return tuned


@torch.no_grad()
def _measure_lengths(peft_model: Any) -> None:  # noqa: ANN401 - PEFT has no types
    """In float32: PEFT measures in the base's dtype, and bfloat16 would change outputs by up to 0.4 % at the start."""
    for module in peft_model.modules():
        if isinstance(module, LoraLayer):
            weight = dequantize_module_weight(module.get_base_layer()).float()
            module.lora_magnitude_vector["default"].weight.copy_(torch.linalg.norm(weight, dim=1))
