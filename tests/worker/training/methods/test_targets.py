"""Which layers get an adapter, in architectures of several kinds; none is downloaded."""

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MixtralConfig,
    Phi3Config,
    PreTrainedConfig,
    Qwen2MoeConfig,
    Qwen3Config,
)

from worker.training.methods import targets

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "pad_token_id": 0,
}
MOE = {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
QKVO, GATED = ["k_proj", "o_proj", "q_proj", "v_proj"], ["down_proj", "gate_proj", "up_proj"]
CASES: dict[str, tuple[PreTrainedConfig, list[str], list[str]]] = {
    "llama": (LlamaConfig(**SIZES), QKVO, GATED),
    "qwen3": (Qwen3Config(**SIZES, head_dim=8), QKVO, GATED),
    "gemma3": (Gemma3TextConfig(**SIZES, head_dim=8), QKVO, GATED),
    "phi3": (Phi3Config(**SIZES), ["o_proj", "qkv_proj"], ["down_proj", "gate_up_proj"]),
    "gpt_neox": (
        GPTNeoXConfig(**{key: value for key, value in SIZES.items() if key != "num_key_value_heads"}),
        ["dense", "query_key_value"],
        ["dense_4h_to_h", "dense_h_to_4h"],
    ),
    # experts are no linear layers of their own; what routes to them never learns
    "mixtral": (MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2), QKVO, []),
    "qwen2_moe": (Qwen2MoeConfig(**SIZES, **MOE), QKVO, GATED),
}


def build(config: PreTrainedConfig) -> nn.Module:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("name", CASES)
def test_layers_are_found_by_structure(name: str) -> None:
    config, attention, mlp = CASES[name]
    model = build(config)
    assert _last_parts(targets.names(model, "attention")) == attention
    assert _last_parts(targets.names(model, "mlp")) == mlp
    assert _last_parts(targets.names(model, "all-linear")) == sorted(attention + mlp)


def _last_parts(names: list[str]) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in names})


def test_the_head_and_routers_are_never_among_them() -> None:
    for config, _, _ in CASES.values():
        model = build(config)
        found = targets.names(model, "all-linear")
        assert not {"lm_head", "embed_out", "gate", "router", "shared_expert_gate"} & set(_last_parts(found))


def test_whole_names_are_given_where_a_last_part_would_match_more() -> None:
    model = build(LlamaConfig(**SIZES))
    model.vision = nn.ModuleDict({"q_proj": nn.Linear(4, 4)})
    found = targets.names(model, "attention")
    assert "model.layers.0.self_attn.q_proj" in found
    assert len(found) == 2 * 4
