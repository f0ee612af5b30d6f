"""LoRA: the base frozen as it is, and a pair of small float32 matrices learned beside every linear layer."""

from pathlib import Path

from core.training.methods import LoraMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: LoraMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    return adapters.attach(base.load(model_dir, machine), method, machine=machine)
