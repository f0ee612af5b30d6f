"""The base model without an adapter, as vLLM must be asked for it.

On a processor vLLM 0.32 computes sequences of the plain base with the weights of whatever adapter lies in its last
place, as soon as there are two in a batch (vllm-project/vllm#48421; `tests/contracts/test_inference_runtime.py` would
show it). So there the plain base is asked for as an adapter that changes nothing; a GPU's kernels skip what has none.
"""

import json
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file

from worker.inference.adapter_files import CONFIG_NAME, WEIGHTS_NAME
from worker.inference.vllm.base import Base
from worker.inference.vllm.command import BASE_NAME

_NAME: Final = "plain"


def name_of_plain(base: Base) -> str:
    return _NAME if needs_adapter(base) else BASE_NAME


def needs_adapter(base: Base) -> bool:
    return base.hardware == "cpu"


def write_adapter(base: Base, folder: Path) -> Path:
    """One layer's pair, of nothing but zeros."""
    layer = min(base.linear_shapes, key=lambda name: (not name.endswith("o_proj"), name))
    out_size, in_size = base.linear_shapes[layer]
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "r": 1, "lora_alpha": 1}
    (folder / CONFIG_NAME).write_text(json.dumps(config | {"target_modules": [layer]}))
    pair = {"lora_A": torch.zeros(1, in_size), "lora_B": torch.zeros(out_size, 1)}
    tensors = {f"base_model.model.{layer}.{part}.weight": tensor for part, tensor in pair.items()}
    save_file(tensors, folder / WEIGHTS_NAME)
    return folder
