import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from core.errors import Invalid
from worker.inference.adapter_config import LoraConfig, parse_adapter_config
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


def read(content: bytes, config: LoraConfig, runtime: BaseRuntime) -> object:
    return read_adapter_weights(
        content,
        config,
        digest="d",
        linear_shapes=runtime.linear_shapes,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop, "lacks a tensor"),
        (add, "does not belong"),
        (reshape, "has the shape"),
        (retype, "has the type"),
        (poison, "not finite"),
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
