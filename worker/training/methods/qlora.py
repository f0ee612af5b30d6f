"""QLoRA: LoRA beside linear layers kept as 4-bit NormalFloat with quantised scales."""

from pathlib import Path

from core.training.methods import QloraMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: QloraMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    return adapters.attach(base.load(model_dir, machine, quantization=method.quantization), method, machine=machine)
