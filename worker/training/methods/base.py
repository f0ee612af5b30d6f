"""The base model, loaded as a method needs it: whole, or with its linear layers in 4 bits."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from core.training.methods import Quantization
from worker.training import attention
from worker.training.methods.model import Machine


def quantization_config(compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    """The one description of our 4-bit weights; serving must load the base with it too.

    QLoRA (Dettmers et al. 2023): 4-bit NormalFloat with quantised scales, 4.127 bits a weight. bitsandbytes unpacks a
    layer at each use: the arithmetic is in `compute_dtype`, only storage is 4-bit. Embeddings and the output head stay
    whole.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )


def load(model_dir: Path, machine: Machine, *, quantization: Quantization | None = None) -> Any:  # noqa: ANN401 - transformers has no types
    """A `PreTrainedModel` on the machine's device, with our packed attention."""
    options: dict[str, Any] = {}
    if quantization is not None:
        options["quantization_config"] = quantization_config(machine.compute_dtype)
    return AutoModelForCausalLM.from_pretrained(
        str(model_dir),
        dtype=machine.compute_dtype,
        attn_implementation=attention.register(),
        device_map={"": machine.device},
        local_files_only=True,
        **options,
    )
