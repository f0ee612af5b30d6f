"""Rank-stabilised LoRA: the scale is alpha / sqrt(rank), so that what is learned does not shrink as the rank grows.

Kalajdzievski 2023: with alpha / rank, gradients of A and B fall with the rank, and high ranks learn no more than low.
"""

from pathlib import Path

from core.training.methods import RsloraMethod
from worker.training.methods import adapters, base
from worker.training.methods.adapters import LowRankModel
from worker.training.methods.model import Machine


def prepare(method: RsloraMethod, model_dir: Path, *, machine: Machine) -> LowRankModel:
    model = base.load(model_dir, machine, quantization=method.quantization)
    return adapters.attach(model, method, machine=machine, use_rslora=True)
