import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from core.errors import Invalid
from worker.inference.adapter_config import AdapterConfig, LoraConfig, PromptConfig, parse_adapter_config
from worker.inference.adapter_weights import read_adapter_weights
from worker.inference.runtime import BaseRuntime

A_TENSOR = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def tensors(adapter_folders: dict[str, Path]) -> Tensors:
    return load_file(adapter_folders["red"] / "adapter_model.safetensors")


@pytest.fixture
def config(adapter_folders: dict[str, Path]) -> LoraConfig:
    return parse_adapter_config((adapter_folders["red"] / "adapter_config.json").read_bytes())


def read(content: bytes, config: AdapterConfig, runtime: BaseRuntime) -> object:
    return read_adapter_weights(content, config, digest="d", base=runtime)


def drop(tensors: Tensors) -> None:
    del tensors[A_TENSOR]


def add(tensors: Tensors) -> None:
    tensors["base_model.model.lm_head.lora_A.weight"] = torch.zeros(4, 64)


def reshape(tensors: Tensors) -> None:
    tensors[A_TENSOR] = torch.zeros(5, 64)


def retype(tensors: Tensors) -> None:
    tensors[A_TENSOR] = torch.zeros(4, 64, dtype=torch.int32)


def poison(tensors: Tensors) -> None:
    tensors[A_TENSOR][0, 0] = float("nan")


def poison_with_both_infinities(tensors: Tensors) -> None:
    tensors[A_TENSOR][0, :2] = torch.tensor([float("inf"), float("-inf")])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop, "lacks a tensor"),
        (add, "does not belong"),
        (reshape, "has the shape"),
        (retype, "has the type"),
        (poison, "not finite"),
        (poison_with_both_infinities, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    tensors: Tensors, config: LoraConfig, runtime: BaseRuntime, change: Callable[[Tensors], None], reason: str
) -> None:
    change(tensors)
    with pytest.raises(Invalid, match=reason):
        read(save(tensors), config, runtime)


@pytest.mark.parametrize("content", [b"", b"abc", pickle.dumps({"a": 1}), b"\xff" * 64])
def test_only_safetensors_are_read(content: bytes, config: LoraConfig, runtime: BaseRuntime) -> None:
    with pytest.raises(Invalid, match="safetensors"):
        read(content, config, runtime)


def test_an_adapter_for_another_model_is_refused(tensors: Tensors, runtime: BaseRuntime) -> None:
    foreign = LoraConfig(rank=4, scaling=1.0, target_modules=frozenset({"c_attn"}))
    with pytest.raises(Invalid, match="none of its layers"):
        read(save(tensors), foreign, runtime)


def test_learned_vectors_for_another_model_are_refused(runtime: BaseRuntime) -> None:
    content = save({"prompt_embeddings": torch.zeros(6, 32)})
    with pytest.raises(Invalid, match="base model's embeddings 64"):
        read(content, PromptConfig(num_virtual_tokens=6, width=32), runtime)


@pytest.mark.parametrize("shape", [(5, 64), (6, 63), (6,)])
def test_learned_vectors_of_another_shape_are_refused(runtime: BaseRuntime, shape: tuple[int, ...]) -> None:
    content = save({"prompt_embeddings": torch.zeros(shape)})
    with pytest.raises(Invalid, match="has the shape"):
        read(content, PromptConfig(num_virtual_tokens=6, width=64), runtime)


def test_lengths_without_dora_do_not_belong(adapter_folders: dict[str, Path], runtime: BaseRuntime) -> None:
    content = (adapter_folders["green"] / "adapter_model.safetensors").read_bytes()
    config = parse_adapter_config((adapter_folders["green"] / "adapter_config.json").read_bytes())
    assert isinstance(config, LoraConfig)
    read(content, config, runtime)
    with pytest.raises(Invalid, match="does not belong"):
        read(content, replace(config, has_lengths=False), runtime)


def test_large_values_whose_sum_no_float_holds_are_finite(
    tensors: Tensors, config: LoraConfig, runtime: BaseRuntime
) -> None:
    tensors[A_TENSOR][:] = torch.finfo(torch.float32).max
    assert read(save(tensors), config, runtime)
