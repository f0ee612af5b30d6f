"""Whole models of each architecture with the kernels in place, against transformers and PEFT as they come."""
# ruff: noqa: ANN401 - transformers and PEFT have no types

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.worker.training.kernels.conftest import ARCHITECTURES, add_lora, gradients, in_4_bits, make_base, trainable
from worker.training.kernels import fused, products

T = 19


def _results(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 97, (2, T), generator=generator)
    logits = model(input_ids=ids, use_cache=False).logits
    upstream = torch.randn(logits.shape, generator=generator)
    return logits.detach(), gradients((logits * upstream).sum(), trainable(model))


@pytest.mark.parametrize("is_4_bit", [False, True], ids=["plain", "nf4"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_model_with_lora_computes_the_same(name: str, is_4_bit: bool) -> None:  # noqa: FBT001
    base = make_base(name)
    if is_4_bit:
        in_4_bits(base)
    model = add_lora(base)
    expected = _results(model)
    has_norms_of_heads = name in ("qwen3", "gemma3")
    num_norms = 1 + 2 * {"qwen3": 4, "gemma3": 6}.get(name, 2)
    assert has_norms_of_heads == (num_norms > 5)
    installed = fused.install(model)
    # where this processor needs it: the bases of the pairs, unless they are in 4 bits, and the head
    num_plain = installed.pop("frozen_linear")
    assert num_plain == (products.PREFERS_ONEDNN and (1 if is_4_bit else 15))
    assert installed == {"lora_linear": 14, "gated_mlp": 2, "rms_norm": num_norms, "rotary": 2}
    torch.testing.assert_close(_results(model), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("targets", [["q_proj", "v_proj"], ["up_proj"], ["down_proj"]], ids="+".join)
def test_pairs_beside_some_layers_only(targets: list[str]) -> None:
    model = add_lora(make_base("llama"), target_modules=targets)
    expected = _results(model)
    fused.install(model)
    torch.testing.assert_close(_results(model), expected, rtol=2e-4, atol=2e-4)


def test_dropout_draws_what_peft_draws() -> None:
    model = add_lora(make_base("llama"), lora_dropout=0.3)
    torch.manual_seed(11)
    expected = _results(model)
    fused.install(model)
    torch.manual_seed(11)
    torch.testing.assert_close(_results(model), expected, rtol=2e-4, atol=2e-4)


def test_dora_computes_the_same() -> None:
    model = add_lora(make_base("llama"), use_dora=True)
    expected = _results(model)
    fused.install(model)
    torch.testing.assert_close(_results(model), expected, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["llama", "gemma3"])
def test_every_weight_learns_in_full_fine_tuning(name: str) -> None:
    model = make_base(name)
    expected = _results(model)
    fused.install(model)
    found = _results(model)
    assert len(found[1]) == len(list(model.parameters()))
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4)


def test_recomputed_activations_give_the_same_gradients() -> None:
    model = add_lora(make_base("llama"))
    fused.install(model)
    expected = _results(model)
    model.get_base_model().activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    torch.testing.assert_close(_results(model), expected, rtol=0, atol=0)


def test_a_disabled_adapter_leaves_the_base() -> None:
    model = add_lora(make_base("llama"))
    ids = torch.arange(T)[None]
    with torch.no_grad(), model.disable_adapter():
        expected = model(input_ids=ids).logits
    fused.install(model)
    with torch.no_grad(), model.disable_adapter():
        found = model(input_ids=ids).logits
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_the_same_numbers_twice() -> None:
    model = add_lora(make_base("qwen3"))
    fused.install(model)
    torch.testing.assert_close(_results(model), _results(model), rtol=0, atol=0)
