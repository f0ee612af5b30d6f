"""The gated feed-forward layer with its LoRA pairs as one step of autograd.

    g = f(x), u = f(x)          linear layers with their low-rank parts (`lora_linear`)
    y = f(a),  a = act(g) * u   SwiGLU (Shazeer 2020) with act = SiLU; Gemma's has the tanh form of GELU

Autograd would keep g, act(g), u and a, each [T, F]; here g and u are kept and the others made again in the backward
pass, which costs one pass over [T, F] and halves the largest activations of a layer (as Unsloth's kernel does).

    da = dy W_down + e_down A_down          du = da * act(g)          dg = da * u * act'(g)

Shapes: T tokens, D hidden size, F inner size, R rank.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.training.kernels import products
from worker.training.kernels.frozen_weight import dense_weight, is_frozen_linear
from worker.training.kernels.lora_linear import LowRank, into_low_rank, low_rank_gradients, low_rank_of, project

_PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Activation:
    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    """Of (gradient of the output, input)."""


_aten = torch.ops.aten
_SILU = Activation(value=_aten.silu.default, gradient=_aten.silu_backward.default)
_GELU_TANH = Activation(
    value=lambda x: _aten.gelu.default(x, approximate="tanh"),
    gradient=lambda dy, x: _aten.gelu_backward.default(dy, x, approximate="tanh"),
)
_BY_CLASS = {"SiLUActivation": _SILU, "SiLU": _SILU, "GELUTanh": _GELU_TANH}


def install(model: nn.Module) -> int:
    """Makes every gated feed-forward layer with frozen weights compute by this file; returns how many.

    Recognised by its children (gate, up, down and a known activation, nothing else), as Llama, Mistral, Qwen and Gemma
    name them, whether or not they carry LoRA pairs.
    """
    layers = [module for module in model.modules() if _is_gated_mlp(module)]
    for layer in layers:
        layer.forward = types.MethodType(_forward, layer)
    return len(layers)


def _is_gated_mlp(module: nn.Module) -> bool:
    children = dict(module.named_children())
    return set(children) == {*_PROJECTIONS, "act_fn"} and type(children["act_fn"]).__name__ in _BY_CLASS


def _forward(self: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    projections = [_projection(getattr(self, name)) for name in _PROJECTIONS]
    fused = [one for one in projections if one is not None and not (one[1] and one[1].dropout)]
    if len(fused) < len(projections) or torch.is_autocast_enabled(x.device.type):
        return cast("Tensor", type(self).forward(self, x))
    return _gated_mlp(x, fused, _BY_CLASS[type(self.act_fn).__name__])


def _projection(layer: nn.Module) -> tuple[nn.Module, LowRank | None] | None:
    """The frozen layer and its pair, or None for one that is computed in some other way."""
    if is_frozen_linear(layer):
        return layer, None
    if not hasattr(layer, "lora_A"):
        return None
    if layer.disable_adapters and is_frozen_linear(cast("nn.Module", layer.base_layer)):
        return cast("nn.Module", layer.base_layer), None
    low_rank = low_rank_of(layer)
    return None if low_rank is None else (cast("nn.Module", layer.base_layer), low_rank)


def _gated_mlp(x: Tensor, projections: list[tuple[nn.Module, LowRank | None]], activation: Activation) -> Tensor:
    x_TD = x.reshape(-1, x.shape[-1])
    (gate, gate_pair), (up, up_pair), (down, down_pair) = projections
    pairs = (gate_pair, up_pair, down_pair)
    gate_scale, up_scale, down_scale = (0.0 if pair is None else pair.scale for pair in pairs)
    frozen = _Frozen(gate, up, down, (gate_scale, up_scale, down_scale), activation)
    weights = [weight for pair in pairs for weight in ((None, None) if pair is None else (pair.a_RK, pair.b_NR))]
    y_TD = _GatedMlp.apply(x_TD, *weights, frozen)  # type: ignore[no-untyped-call]
    return cast("Tensor", y_TD.view(*x.shape[:-1], y_TD.shape[-1]))


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What gets no gradient; the scales are of the pairs beside gate, up and down."""

    gate: nn.Module
    up: nn.Module
    down: nn.Module
    scales: tuple[float, float, float]
    activation: Activation


class _GatedMlp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch names no type for it
        x_TD: Tensor,
        gate_a: Tensor | None,
        gate_b: Tensor | None,
        up_a: Tensor | None,
        up_b: Tensor | None,
        down_a: Tensor | None,
        down_b: Tensor | None,
        frozen: _Frozen,
    ) -> Tensor:
        gate_scale, up_scale, down_scale = frozen.scales
        gate_low = _low(x_TD, gate_a, gate_scale)
        up_low = _low(x_TD, up_a, up_scale)
        gate_TF = project(x_TD, frozen.gate, gate_low, gate_b)
        up_TF = project(x_TD, frozen.up, up_low, up_b)
        inner_TF = frozen.activation.value(gate_TF).mul_(up_TF)
        down_low = _low(inner_TF, down_a, down_scale)
        ctx.save_for_backward(
            x_TD, gate_TF, up_TF, gate_a, gate_b, gate_low, up_a, up_b, up_low, down_a, down_b, down_low
        )
        ctx.frozen = frozen
        return project(inner_TF, frozen.down, down_low, down_b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TD: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x_TD, gate_TF, up_TF, gate_a, gate_b, gate_low, up_a, up_b, up_low, down_a, down_b, down_low = ctx.saved_tensors
        frozen: _Frozen = ctx.frozen
        gate_scale, up_scale, down_scale = frozen.scales

        dinner_TF = products.back(dy_TD, dense_weight(frozen.down, dy_TD.dtype))
        activated_TF = frozen.activation.value(gate_TF)
        inner_TF = activated_TF * up_TF if down_a is not None else None
        ddown_a, ddown_b = _add_low(dinner_TF, dy_TD, inner_TF, down_low, down_a, down_b, down_scale)
        dup_TF = activated_TF.mul_(dinner_TF)
        dgate_TF = frozen.activation.gradient(dinner_TF.mul_(up_TF), gate_TF)

        dx_TD = None
        if ctx.needs_input_grad[0]:
            dx_TD = products.back(dup_TF, dense_weight(frozen.up, dy_TD.dtype))
            dx_TD += products.back(dgate_TF, dense_weight(frozen.gate, dy_TD.dtype))
        dup_a, dup_b = _add_low(dx_TD, dup_TF, x_TD, up_low, up_a, up_b, up_scale)
        dgate_a, dgate_b = _add_low(dx_TD, dgate_TF, x_TD, gate_low, gate_a, gate_b, gate_scale)
        return dx_TD, dgate_a, dgate_b, dup_a, dup_b, ddown_a, ddown_b, None


def _low(x_TK: Tensor, a_RK: Tensor | None, scale: float) -> Tensor | None:
    return None if a_RK is None else into_low_rank(x_TK, a_RK, scale)


def _add_low(
    dx_TK: Tensor | None,
    dy_TN: Tensor,
    x_TK: Tensor | None,
    low_TR: Tensor | None,
    a_RK: Tensor | None,
    b_NR: Tensor | None,
    scale: float,
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of a low-rank pair, whose part of the input's gradient is added into `dx_TK`."""
    if a_RK is None or b_NR is None or low_TR is None or x_TK is None:
        return None, None
    dlow_TR, da_RK, db_NR = low_rank_gradients(dy_TN, x_TK, low_TR, a_RK, b_NR, scale)
    if dx_TK is not None:
        dx_TK.addmm_(dlow_TR, a_RK.to(dy_TN.dtype))
    return da_RK, db_NR
