"""Small models of each architecture, with LoRA by PEFT, for comparing the kernels with what they stand in for."""
# ruff: noqa: ANN401 - transformers and PEFT have no types

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from worker.training import attention

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "attn_implementation": "sdpa",
}
ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, sliding_window=6, layer_types=["sliding_attention", "full_attention"])
    ),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def without_onednn() -> Iterator[None]:
    """Some virtual machines stop a process at oneDNN's bfloat16 products: they show an AMX unit that is not there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def make_base(name: str, *, packed: bool = False) -> Any:
    """A random model whose weights are all far from their neutral start (norms not one, biases not zero)."""
    torch.manual_seed(3)
    model: Any = ARCHITECTURES[name]()
    if packed:
        model.set_attn_implementation(attention.register())
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return model


def add_lora(model: Any, **options: Any) -> Any:
    """PEFT's LoRA beside every linear layer, with a B that is not zero, which would hide half of the adapter."""
    settings: dict[str, Any] = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        tuned = get_peft_model(model, LoraConfig(**(settings | options)), autocast_adapter_dtype=False)
    torch.manual_seed(4)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.requires_grad:
                weight.copy_(torch.randn_like(weight) * 0.1)
    return tuned.train()


def in_4_bits(model: nn.Module) -> None:
    """Every linear layer but the head as double-quantised NF4, as transformers does it."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear and name != "lm_head":
                packed = Linear4bit(
                    child.in_features,
                    child.out_features,
                    bias=child.bias is not None,
                    compute_dtype=torch.float32,
                    compress_statistics=True,
                    quant_type="nf4",
                )
                packed.load_state_dict(child.state_dict())
                setattr(parent, name, packed.to("cpu"))
    model.requires_grad_(False)


def gradients(loss: Tensor, of: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(of, torch.autograd.grad(loss, list(of.values())), strict=True))


def trainable(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
