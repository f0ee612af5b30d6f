"""The gated feed-forward layer, the normalisation and the rotation by themselves: derivatives and what is kept."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb

from tests.worker.training.kernels.conftest import add_lora, make_base
from worker.training.kernels import gated_mlp, rms_norm, rotary

F64 = {"dtype": torch.float64}


@pytest.mark.parametrize("activation", ["SiLUActivation", "GELUTanh"])
def test_gradcheck_of_the_gated_layer(activation: str) -> None:
    torch.manual_seed(0)
    bases = [nn.Linear(*size, **F64).requires_grad_(False) for size in ((4, 6), (4, 6), (6, 4))]
    shapes = [(3, 4), (2, 4), (6, 2), (2, 4), (6, 2), (2, 6), (4, 2)]
    inputs = [torch.randn(shape, requires_grad=True, **F64) for shape in shapes]

    def output(*tensors: Tensor) -> Tensor:
        known = gated_mlp._BY_CLASS[activation]
        return gated_mlp._GatedMlp.apply(*tensors, gated_mlp._Frozen(*bases, (1.5, 0.5, 2.0), known))

    assert torch.autograd.gradcheck(output, inputs)


def test_the_gated_layer_keeps_two_inner_activations_not_four() -> None:
    mlp: Any = add_lora(make_base("llama")).get_base_model().model.layers[0].mlp
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        if tensor.shape[-1] == 128 and tensor.dim() > 1 and tensor.shape[-2] == 11:
            kept.append(tensor.numel())
        return tensor

    for install, expected in ((False, 4), (True, 2)):
        kept.clear()
        if install:
            assert gated_mlp.install(mlp) == 1
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            mlp(torch.randn(1, 11, 64, requires_grad=True))
        assert len(kept) == expected


def test_a_layer_with_other_children_is_left_alone() -> None:
    mlp: Any = make_base("llama").model.layers[0].mlp
    mlp.extra = nn.Identity()
    assert gated_mlp.install(mlp) == 0


def test_an_unknown_activation_is_left_alone() -> None:
    mlp: Any = make_base("llama").model.layers[0].mlp
    mlp.act_fn = nn.ReLU()
    assert gated_mlp.install(mlp) == 0


@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_gradcheck_of_the_normalisation(offset: float) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, 5, requires_grad=True, **F64), torch.randn(5, requires_grad=True, **F64)
    assert torch.autograd.gradcheck(lambda x, w: rms_norm.rms_norm(x, w, epsilon=1e-5, offset=offset), inputs)


@pytest.mark.parametrize("kind", [LlamaRMSNorm, Gemma3RMSNorm])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_normalisation_is_as_exact_as_the_one_it_replaces(kind: type[nn.Module], scale: float) -> None:
    torch.manual_seed(0)
    norm = kind(576, eps=1e-6)
    norm.weight.data.normal_()
    x = torch.randn(7, 576) * scale
    exact = kind(576, eps=1e-6).double()
    exact.weight.data.copy_(norm.weight.data)
    # as a float64 formula: the modules themselves compute in float32
    inverse = torch.rsqrt(x.double().pow(2).mean(-1, keepdim=True) + 1e-6)
    expected = x.double() * inverse * (exact.weight + (1.0 if kind is Gemma3RMSNorm else 0.0))
    theirs = norm(x)
    assert rms_norm.install(norm) == 1
    ours = norm(x)
    assert (ours - expected).abs().max() <= 2 * (theirs - expected).abs().max() + 1e-7
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


class _OddRMSNorm(LlamaRMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


def test_another_formula_under_the_name_is_left_alone() -> None:
    assert rms_norm.install(_OddRMSNorm(8)) == 0


def test_bfloat16_is_normalised_in_float32() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(5, 64).bfloat16(), torch.randn(64).bfloat16()
    found = rms_norm.rms_norm(x, weight, epsilon=1e-6)
    expected = rms_norm.rms_norm(x.float(), weight.float(), epsilon=1e-6)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16(), rtol=0, atol=0)


def _turned(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    q, k = (torch.randn(1, 5, heads, 8, dtype=dtype).transpose(1, 2) for heads in (3, 1))
    angles = torch.randn(1, 5, 8, dtype=dtype)
    return q.requires_grad_(), k.requires_grad_(), angles.cos(), angles.sin()


def test_the_rotation_is_that_of_transformers() -> None:
    q, k, cos, sin = _turned()
    expected, found = apply_rotary_pos_emb(q, k, cos, sin), rotary.apply_rotary(q, k, cos, sin)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert found[0].stride() == q.stride()  # laid out as the products leave it: attention's output needs no copy


def test_gradcheck_of_the_rotation() -> None:
    q, k, cos, sin = _turned(dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda q, k: rotary.apply_rotary(q, k, cos, sin), (q, k))


class _Attention(nn.Module):
    def forward(self, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        return apply_rotary_pos_emb(q, k, cos, sin)


def test_an_installed_rotation_is_the_instances_own() -> None:
    one, other = _Attention(), _Attention()
    assert rotary.install(one) == 1
    assert "forward" not in vars(other)
    torch.testing.assert_close(one(*_turned()), other(*_turned()), rtol=1e-6, atol=1e-6)


def test_a_layer_that_rotates_otherwise_is_left_alone() -> None:
    namespace: dict[str, Any] = {"apply_rotary_pos_emb": lambda q, k, *_, **__: (q, k), "nn": nn}
    exec(  # noqa: S102 - a module of its own, with a function of that name
        "class Layer(nn.Module):\n    def forward(self, *a):\n        return apply_rotary_pos_emb(*a)", namespace
    )
    assert rotary.install(namespace["Layer"]()) == 0
