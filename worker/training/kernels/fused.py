"""Puts the fused kernels in the place of what they equal, in a model of transformers with or without PEFT's LoRA.

To be called once per model, after an adapter is attached and before anything is computed. Nothing is renamed, added to
or taken from the model: parameters, saving, merging and disabling adapters stay the libraries'. What is not recognised
computes as before. Not for models that are compiled: there the compiler fuses, and it cannot look into these.
"""

from torch import nn

from worker.training.kernels import frozen_linear, gated_mlp, lora_linear, rms_norm, rotary


def install(model: nn.Module) -> dict[str, int]:
    """Returns how many layers each kernel computes now, by the kernel's name.

    Left out because they did not pay on two cores, where products of these sizes reach 90 % of the processor's peak
    one by one: q, k and v (gate and up) as one product over stacked frozen weights, 201 against 229 GFLOP/s; their A
    matrices stacked, 0.1 % of a step.
    """
    kernels = {
        "lora_linear": lora_linear,
        "frozen_linear": frozen_linear,
        "gated_mlp": gated_mlp,
        "rms_norm": rms_norm,
        "rotary": rotary,
    }
    return {name: kernel.install(model) for name, kernel in kernels.items()}
