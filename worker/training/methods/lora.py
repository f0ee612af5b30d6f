"""LoRA: the base frozen as it is, and a pair of small float32 matrices learned beside every linear layer."""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from core.training.methods import LoraMethod
from worker.training import attention
from worker.training.methods.adapters import TunableModel, attach


def prepare(method: LoraMethod, model_dir: Path, *, compute_dtype: torch.dtype, device: str) -> TunableModel:
    base = AutoModelForCausalLM.from_pretrained(
        str(model_dir), dtype=compute_dtype, attn_implementation=attention.register(), local_files_only=True
    ).to(device)
    return attach(base, rank=method.rank, alpha=method.alpha, dropout=method.dropout)
