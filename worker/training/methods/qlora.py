"""QLoRA (Dettmers et al. 2023): LoRA beside linear layers kept as 4-bit NormalFloat with quantised scales.

bitsandbytes unpacks a layer at each use: the arithmetic is in `compute_dtype`, only storage is 4-bit,
4.127 bits a weight. Embeddings and the output head stay whole.
"""

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from core.training.methods import QloraMethod
from worker.training import attention
from worker.training.methods.adapters import TunableModel, attach


def quantization_config(compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    """The one description of our 4-bit weights; serving must load the base with it too."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def prepare(method: QloraMethod, model_dir: Path, *, compute_dtype: torch.dtype, device: str) -> TunableModel:
    base = AutoModelForCausalLM.from_pretrained(
        str(model_dir),
        dtype=compute_dtype,
        attn_implementation=attention.register(),
        quantization_config=quantization_config(compute_dtype),
        device_map={"": device},
        local_files_only=True,
    )
    return attach(base, rank=method.rank, alpha=method.alpha, dropout=method.dropout)
