"""LoRA+: LoRA whose B has a learning rate of its own, `learning_rate_ratio` times that of A.

Hayou et al. 2024: with one rate for both, B of a wide model moves too little, since it starts at zero and A does not.
"""

from dataclasses import replace
from pathlib import Path

from core.training.methods import LoraPlusMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: LoraPlusMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    model = base.load(model_dir, machine, quantization=method.quantization)
    return replace(adapters.attach(model, method, machine=machine), rate_of_b=method.learning_rate_ratio)
