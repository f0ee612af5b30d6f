"""Models of the sizes people tune, random weights made on the device: right for speed and memory, not for quality."""

import gc
import random
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig

from core.base_models import architecture
from core.base_models.types import BaseModel, HubSource

_LLAMA_3 = {"vocab_size": 128256, "num_key_value_heads": 8, "rope_theta": 500000.0, "max_position_embeddings": 131072}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "vocab_size": 512,
        "tie_word_embeddings": False,
    },
    "1b": _LLAMA_3
    | {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "head_dim": 64,
        "tie_word_embeddings": True,
    },
    "3b": _LLAMA_3
    | {
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "head_dim": 128,
        "tie_word_embeddings": True,
    },
    "8b": _LLAMA_3
    | {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
}


def build(shape: str, *, device: str, dtype: torch.dtype, attention: str, is_nf4: bool = False) -> Any:  # noqa: ANN401
    """A causal model of transformers in training mode. The same shape and dtype have the same weights each time."""
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            LlamaConfig(**SHAPES[shape], rms_norm_eps=1e-5), dtype=dtype, attn_implementation=attention
        )
    if is_nf4:
        _quantise(model, dtype)
    return model.train()


def _quantise(model: Any, dtype: torch.dtype) -> None:  # noqa: ANN401
    """Every linear layer but the head to NF4 with double quantisation, as bitsandbytes does on loading; in place."""
    import bitsandbytes as bnb  # noqa: PLC0415 - not on every machine

    decoder = model.get_decoder()
    for name, linear in [*decoder.named_modules()]:
        if not isinstance(linear, nn.Linear):
            continue
        device = linear.weight.device
        with torch.device("meta"):
            small = bnb.nn.Linear4bit(
                linear.in_features,
                linear.out_features,
                bias=False,
                compute_dtype=dtype,
                compress_statistics=True,
                quant_type="nf4",
            )
        weight = linear.weight.data.to("cpu")
        small.weight = bnb.nn.Params4bit(
            weight, requires_grad=False, compress_statistics=True, quant_type="nf4", module=small
        ).to(device)
        decoder.set_submodule(name, small)
        linear.weight = None
    model.is_loaded_in_4bit = True
    forget()


def base_model(shape: str) -> BaseModel:
    """As the catalogue describes it, for the formulas of `core.training`."""
    config = SHAPES[shape]
    found = BaseModel(
        id=shape,
        name=shape,
        num_parameters=1,
        num_layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        num_heads=config["num_attention_heads"],
        num_key_value_heads=config["num_key_value_heads"],
        head_size=config["head_dim"],
        is_head_tied=config["tie_word_embeddings"],
        vocab_size=config["vocab_size"],
        context_tokens=8192,
        license="",
        source=HubSource(repository=""),
        revision="0" * 40,
    )
    num_parameters = architecture.num_linear_weights(found) + architecture.num_embedding_weights(found)
    return found.model_copy(update={"num_parameters": num_parameters})


def sequence_lengths(tokens: int, longest: int) -> tuple[int, ...]:
    """Whole sequences of `longest` and what is left over."""
    whole, rest = divmod(tokens, longest)
    return (longest,) * whole + ((rest,) if rest else ())


def random_ids(tokens: int, vocabulary: int, device: str) -> torch.Tensor:
    """Never all the same: products with zeros or repeated rows run faster than real ones."""
    draw = random.Random(0)
    return torch.tensor([draw.randrange(vocabulary) for _ in range(tokens)], device=device)


def forget() -> None:
    """Gives memory back before the next model."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
