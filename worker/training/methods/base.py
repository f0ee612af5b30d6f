"""The base model, loaded as a method needs it: whole, or with its linear layers in 4 bits."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from core.training.methods import Quantization
from worker.training import attention
from worker.training.kernels import fused
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


def load(
    model_dir: Path,
    machine: Machine,
    *,
    quantization: Quantization | None = None,
    dtype: torch.dtype | None = None,
) -> Any:  # noqa: ANN401 - transformers has no types
    """A `PreTrainedModel` on the machine's device, with our packed attention.

    Its weights are in `dtype`, usually that of the arithmetic. It is in training mode for good: layers recompute
    their activations only in it, and bitsandbytes repacks 4-bit weights when it is left. Dropout of the base's own is
    switched off instead.
    """
    options: dict[str, Any] = {}
    if quantization is not None:
        options["quantization_config"] = quantization_config(machine.compute_dtype)
    model = AutoModelForCausalLM.from_pretrained(
        str(model_dir),
        dtype=dtype or machine.compute_dtype,
        attn_implementation=attention.register(),
        device_map={"": machine.device},
        local_files_only=True,
        **options,
    )
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0
    return model.train()


def fit(model: Any, machine: Machine) -> None:  # noqa: ANN401
    """What the plan asks of a prepared model: recomputed activations, and compiled layers or else our fused ones.

    Recomputation (Chen et al. 2016) keeps a layer's inputs only and runs it again in the backward pass: the same
    numbers for a third more arithmetic. `compile` is for cards and passed over on a processor, where the compiler took
    100 s for a model of two layers (measured), more than most runs there take as a whole.
    """
    if machine.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if machine.compile and machine.device.startswith("cuda"):
        compile_layers(model)
    else:
        fused.install(model)


def compile_layers(model: Any, *, backend: str = "inductor") -> None:  # noqa: ANN401
    """The parts of each decoder layer that see tokens and not sequences: its norms and its feed-forward layer.

    Attention is left as it is: what it does depends on how many sequences a pack holds, and each number of them would
    be compiled anew. Equal parts of all layers share their code, whatever the length of the pack.
    """
    for layer in model.get_decoder().layers:
        for part in layer.children():
            if not hasattr(part, "is_causal"):
                part.compile(dynamic=True, backend=backend)
