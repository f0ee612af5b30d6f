"""The fused LoRA layer against PEFT's own, layer by layer."""
# ruff: noqa: ANN401 - transformers and PEFT have no types

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.worker.training.kernels.conftest import add_lora, gradients, in_4_bits
from worker.training.kernels import lora_linear
from worker.training.kernels.frozen_weight import dense_weight
from worker.training.kernels.lora_linear import LowRank

K, N, T = 64, 96, 7


class _One(nn.Module):
    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Linear(K, N, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


def _layer(*, bias: bool = False, is_4_bit: bool = False, **options: Any) -> Any:
    """PEFT's layer around one linear layer."""
    torch.manual_seed(1)
    model = _One(bias=bias)
    if is_4_bit:
        in_4_bits(model)
    return add_lora(model, target_modules=["proj"], task_type=None, **options).base_model.model.proj


def _results(layer: Any, dtype: torch.dtype = torch.float32) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, T, K, generator=generator).to(dtype).requires_grad_()
    upstream = torch.randn(2, T, N, generator=generator).to(dtype)
    torch.manual_seed(5)  # dropout
    y = layer(x)
    weights = {name: weight for name, weight in layer.named_parameters() if weight.requires_grad}
    return y.detach(), gradients((y * upstream).sum(), {"x": x, **weights})


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("is_4_bit", [False, True], ids=["plain", "nf4"])
def test_output_and_gradients_are_pefts(is_4_bit: bool, bias: bool, dropout: float) -> None:  # noqa: FBT001
    layer = _layer(bias=bias, is_4_bit=is_4_bit, lora_dropout=dropout)
    expected = _results(layer)
    assert lora_linear.install(layer) == 1
    found = _results(layer)
    assert set(found[1]) == {"x", "lora_A.default.weight", "lora_B.default.weight"}
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_states_with_float32_pairs(without_onednn: None) -> None:
    layer = _layer()
    layer.base_layer.to(torch.bfloat16)
    expected = _results(layer, torch.bfloat16)
    lora_linear.install(layer)
    found = _results(layer, torch.bfloat16)
    assert found[0].dtype == torch.bfloat16
    assert found[1]["lora_A.default.weight"].dtype == torch.float32
    # PEFT computes the pair in float32, we in bfloat16 as autocast does: 8 bits of mantissa
    torch.testing.assert_close(found, expected, rtol=5e-2, atol=8e-2)


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_gradcheck(bias: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    base = nn.Linear(5, 4, bias=bias, dtype=torch.float64).requires_grad_(False)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 5), (2, 5), (4, 2))]

    def output(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return lora_linear.lora_linear(x, base, LowRank(a_RK=a, b_NR=b, scale=1.7, dropout=0.0))

    assert torch.autograd.gradcheck(output, inputs)


def test_gradcheck_with_dropout() -> None:
    torch.manual_seed(0)
    base = nn.Linear(5, 4, dtype=torch.float64).requires_grad_(False)
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 5), (2, 5), (4, 2))]

    def output(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        torch.manual_seed(9)
        return lora_linear.lora_linear(x, base, LowRank(a_RK=a, b_NR=b, scale=1.7, dropout=0.4))

    assert torch.autograd.gradcheck(output, inputs)


def test_only_the_input_and_the_low_rank_product_are_kept() -> None:
    layer = _layer()
    lora_linear.install(layer)
    y = layer(torch.randn(T, K, requires_grad=True))
    kept = y.grad_fn.next_functions[0][0].saved_tensors  # below the view
    weights = {weight.data_ptr() for weight in layer.parameters()}
    assert sorted(t.numel() for t in kept if t is not None and t.data_ptr() not in weights) == [T * 4, T * K]


def test_the_gradient_of_an_input_that_needs_none_is_not_made() -> None:
    layer = _layer()
    lora_linear.install(layer)
    layer(torch.randn(T, K)).sum().backward()
    assert layer.lora_A["default"].weight.grad is not None


def test_a_disabled_adapter_gives_the_base() -> None:
    layer = _layer(bias=True)
    lora_linear.install(layer)
    x = torch.randn(T, K)
    with_adapter = layer(x)
    layer.enable_adapters(False)
    torch.testing.assert_close(layer(x), layer.base_layer(x), rtol=0, atol=0)
    layer.enable_adapters(True)
    torch.testing.assert_close(layer(x), with_adapter, rtol=0, atol=0)


def test_a_merged_adapter_is_not_added_twice() -> None:
    layer = _layer()
    lora_linear.install(layer)
    x = torch.randn(T, K)
    expected = layer(x)
    layer.merge()
    torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"use_dora": True}, {"lora_bias": True}], ids=["dora", "lora bias"])
def test_other_kinds_of_adapter_compute_as_before(options: dict[str, Any]) -> None:
    layer = _layer(bias=True, **options)
    expected = _results(layer)
    lora_linear.install(layer)
    torch.testing.assert_close(_results(layer), expected, rtol=0, atol=0)


def test_names_of_parameters_stay() -> None:
    layer = _layer()
    before = list(layer.state_dict())
    lora_linear.install(layer)
    assert list(layer.state_dict()) == before


def test_a_weight_repacked_for_inference_is_refused() -> None:
    layer = _layer(is_4_bit=True)
    layer.base_layer.weight.quant_state.packing_format_for_cpu = True
    with pytest.raises(ValueError, match="repacked for inference"):
        dense_weight(layer.base_layer, torch.float32)
