import json
from pathlib import Path

import pytest

from core.errors import Invalid
from worker.inference.adapter_config import PromptConfig, parse_adapter_config

GOOD = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}


def parse(**changes: object) -> object:
    return parse_adapter_config(json.dumps({**GOOD, **changes}).encode())


def test_what_peft_writes_is_understood(adapter_folders: dict[str, Path]) -> None:
    red, blue, green, violet = (
        parse_adapter_config((adapter_folders[name] / "adapter_config.json").read_bytes())
        for name in ("red", "blue", "green", "violet")
    )
    assert (red.rank, red.scaling) == (4, 2.0)
    assert blue.scaling == pytest.approx(16 / 8**0.5)  # rank-stabilised
    assert (red.has_lengths, green.has_lengths) == (False, True)
    assert violet == PromptConfig(num_virtual_tokens=6, width=64)


def test_a_target_is_a_whole_name_or_its_last_parts() -> None:
    config = parse_adapter_config(json.dumps(GOOD).encode())
    assert config.targets("model.layers.0.self_attn.q_proj")
    assert not config.targets("model.layers.0.self_attn.not_q_proj")


@pytest.mark.parametrize(
    "changes",
    [
        {"peft_type": "IA3"},
        {"peft_type": None},
        {"r": 257},
        {"r": 0},
        {"r": True},
        {"r": "8"},
        {"lora_alpha": None},
        {"lora_alpha": float("inf")},
        {"target_modules": "all-linear"},
        {"target_modules": ".*(a+)+$"},
        {"target_modules": []},
        {"target_modules": [1]},
        {"use_dora": "yes"},
        {"use_rslora": 1},
        {"init_lora_weights": []},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"rank_pattern": {"q_proj": 4}},
        {"alpha_pattern": {"q_proj": 4}},
        {"layers_to_transform": [1]},
        {"fan_in_fan_out": True},
        {"init_lora_weights": "pissa"},
        {"a_setting_of_next_year": None},
    ],
    ids=str,
)
def test_what_would_be_served_differently_than_trained_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        parse(**changes)
    assert refused.value.error_code == "adapter_unsupported"


@pytest.mark.parametrize(
    "changes",
    [
        {"num_virtual_tokens": 0},
        {"num_virtual_tokens": 513},
        {"num_virtual_tokens": None},
        {"token_dim": "64"},
        {"num_transformer_submodules": 2},
        {"modules_to_save": ["lm_head"]},
        {"prompt_projection": True},
        {"peft_type": "PREFIX_TUNING"},
    ],
    ids=str,
)
def test_learned_prompts_that_would_be_read_differently_are_refused(changes: dict[str, object]) -> None:
    good = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 6, "token_dim": 64}
    assert parse_adapter_config(json.dumps(good).encode()) == PromptConfig(num_virtual_tokens=6, width=64)
    with pytest.raises(Invalid) as refused:
        parse_adapter_config(json.dumps(good | changes).encode())
    assert refused.value.error_code == "adapter_unsupported"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_what_is_not_a_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="JSON"):
        parse_adapter_config(content)
