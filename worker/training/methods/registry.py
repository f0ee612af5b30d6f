from pathlib import Path
from typing import assert_never

import torch

from core.training.methods import LoraMethod, Method, QloraMethod
from worker.training.methods import lora, qlora
from worker.training.methods.adapters import TunableModel


def prepare(method: Method, model_dir: Path, *, compute_dtype: torch.dtype, device: str) -> TunableModel:
    """A method prepares a model, and that is all it does: batches, loss and loop are the same for each."""
    match method:
        case LoraMethod():
            return lora.prepare(method, model_dir, compute_dtype=compute_dtype, device=device)
        case QloraMethod():
            return qlora.prepare(method, model_dir, compute_dtype=compute_dtype, device=device)
        case _:
            assert_never(method)
