"""Both libraries give the same products, and only the hardware decides which of them is asked."""

from pathlib import Path

import pytest
import torch
from torch import nn

from worker.training.kernels import frozen_linear, products

ONEDNN = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


@pytest.fixture(params=[False, pytest.param(True, marks=ONEDNN)], ids=["mkl", "onednn"])
def by_onednn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(products, "PREFERS_ONEDNN", request.param)
    return bool(request.param)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 64, 33), (130, 96, 257)], ids=str)
def test_products_are_those_of_float64(by_onednn: bool, shape: tuple[int, int, int], dtype: torch.dtype) -> None:  # noqa: FBT001
    num_tokens, num_inputs, num_outputs = shape
    torch.manual_seed(0)
    x, w = torch.randn(num_tokens, num_inputs, dtype=dtype), torch.randn(num_outputs, num_inputs, dtype=dtype)
    dy = torch.randn(num_tokens, num_outputs, dtype=dtype)
    close = {"rtol": 0.02, "atol": 0.2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-4}
    forth, back = products.forward(x, w), products.back(dy, w)
    assert (forth.dtype, back.dtype) == (dtype, dtype)
    torch.testing.assert_close(forth.double(), x.double() @ w.double().T, **close)
    torch.testing.assert_close(back.double(), dy.double() @ w.double(), **close)
    torch.testing.assert_close(products.across(x, dy).double(), x.double().T @ dy.double(), **close)
    assert torch.equal(products.forward(x, w), forth)


@pytest.mark.parametrize("has_bias", [False, True])
def test_a_frozen_layer_computes_what_it_did(by_onednn: bool, has_bias: bool) -> None:  # noqa: FBT001
    torch.manual_seed(0)
    layer = nn.Linear(24, 40, bias=has_bias).requires_grad_(requires_grad=False)
    x = torch.randn(2, 5, 24, requires_grad=True)
    expected = layer(x)
    expected.square().sum().backward()
    expected_gradient, x.grad = x.grad, None
    assert frozen_linear.install(layer) == by_onednn
    found = layer(x)
    found.square().sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(x.grad, expected_gradient)


def test_a_layer_that_begins_to_learn_gets_its_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "PREFERS_ONEDNN", True)
    layer = nn.Linear(3, 2).requires_grad_(requires_grad=False)
    assert frozen_linear.install(layer) == 1
    layer.requires_grad_()
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize(
    ("vendors", "expected"),
    [(["AuthenticAMD"] * 2, True), (["GenuineIntel"] * 2, False), ([], False), (None, False)],
    ids=["amd", "intel", "unnamed", "no such file"],
)
def test_the_choice_is_the_processors(
    vendors: list[str] | None,
    expected: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if vendors is not None:
        (tmp_path / "cpuinfo").write_text("".join(f"processor\t: 0\nvendor_id\t: {name}\n\n" for name in vendors))
    monkeypatch.setattr(products, "_CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert products._is_onednn_faster() is expected
