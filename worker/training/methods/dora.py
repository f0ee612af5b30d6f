"""DoRA: a learned length for each output of a layer, and LoRA for the direction of its weights.

    y = m * (W + s B A) x / |W + s B A|        |.| the length of each row, taken as constant by the gradient

Liu et al. 2024. m starts at |W|, so that nothing changes yet.
"""

from pathlib import Path

from core.training.methods import DoraMethod
from worker.training.kernels import dora_linear
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: DoraMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    model = base.load(model_dir, machine, quantization=method.quantization)
    tuned = adapters.attach(model, method, machine=machine, use_dora=True)
    dora_linear.install(tuned.peft_model)
    return tuned
