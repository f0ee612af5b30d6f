"""LoRA beside a frozen linear layer as one step of autograd.

    y = x W^T + b + s (drop(x) A^T) B^T

Plain PEFT makes the scaled low-rank output, the sum and their gradients each as a tensor of its own; here the low-rank
product is added into the frozen one by the matrix multiplication itself, forward and backward, and only x and the
[T, R] product are kept (Hu et al. 2021 for the maths; the fusion is Unsloth's and LoRAFusion's idea):

    l = s x A^T         y = x W^T, then y += l B^T
    e = s dy B          dx = dy W, then dx += e A          dA = e^T x          dB = dy^T l

Shapes: T tokens, K inputs, N outputs, R rank. Everything is computed in the dtype of x, with A and B cast to it;
their gradients come back in their own dtype.
"""

import types
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PlainLora
from peft.tuners.lora.bnb import Linear4bit as FourBitLora
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.training.kernels import products
from worker.training.kernels.frozen_weight import dense_weight, is_frozen_linear


@dataclass(frozen=True, slots=True)
class LowRank:
    """A learned pair beside a linear layer, its scale, and the share of inputs that is dropped at the moment."""

    a_RK: Tensor
    b_NR: Tensor
    scale: float
    dropout: float


def install(model: nn.Module) -> int:
    """Makes every plain LoRA layer of a PEFT model compute by this file; returns how many.

    To be called once, after the adapter is attached. Parameters, their names, saving, merging and disabling stay
    PEFT's. Layers of other kinds (DoRA and other variants, a bias of the adapter's, weights in 8 bits or not frozen)
    are left as they are, and so is any call with merged, disabled or several active adapters, or under autocast.
    """
    layers = [module for module in model.modules() if type(module) in (PlainLora, FourBitLora)]
    for layer in layers:
        layer.forward = types.MethodType(_forward, layer)
    return len(layers)


def low_rank_of(layer: nn.Module) -> LowRank | None:
    """The one plain adapter that a call of this PEFT layer would use now; None if it would do anything else."""
    lora = cast("Any", layer)
    if lora.disable_adapters or lora.merged or not is_frozen_linear(lora.base_layer):
        return None
    active = [name for name in lora.active_adapters if name in lora.lora_A]
    if len(active) != 1 or active[0] in lora.lora_variant or lora.lora_bias[active[0]]:
        return None
    [name] = active
    dropout = lora.lora_dropout[name]
    if not isinstance(dropout, nn.Identity | nn.Dropout) or getattr(lora, "fan_in_fan_out", False):
        return None
    return LowRank(
        a_RK=lora.lora_A[name].weight,
        b_NR=lora.lora_B[name].weight,
        scale=lora.scaling[name],
        dropout=dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0,
    )


def _forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401
    low_rank = None if args or kwargs or torch.is_autocast_enabled(x.device.type) else low_rank_of(self)
    if low_rank is None:
        return cast("Tensor", type(self).forward(self, x, *args, **kwargs))
    return lora_linear(x, self.base_layer, low_rank)


def lora_linear(x: Tensor, base: nn.Module, low_rank: LowRank) -> Tensor:
    """Output [..., N] of x [..., K]; gradients for x, A and B, none for the frozen `base`."""
    x_TK = x.reshape(-1, x.shape[-1])
    y_TN = _LoraLinear.apply(x_TK, low_rank.a_RK, low_rank.b_NR, base, low_rank.scale, low_rank.dropout)  # type: ignore[no-untyped-call]
    return cast("Tensor", y_TN.view(*x.shape[:-1], y_TN.shape[-1]))


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch names no type for it
        x_TK: Tensor,
        a_RK: Tensor,
        b_NR: Tensor,
        base: nn.Module,
        scale: float,
        dropout: float,
    ) -> Tensor:
        mask_TK = None
        seen_TK = x_TK
        if dropout > 0:
            seen_TK, mask_TK = torch.native_dropout(x_TK, dropout, train=True)
        low_TR = into_low_rank(seen_TK, a_RK, scale)
        ctx.save_for_backward(x_TK, a_RK, b_NR, low_TR, mask_TK)
        ctx.base, ctx.scale, ctx.undropped = base, scale, 1 / (1 - dropout)
        return project(x_TK, base, low_TR, b_NR)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TN: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x_TK, a_RK, b_NR, low_TR, mask_TK = ctx.saved_tensors
        seen_TK = x_TK if mask_TK is None else _drop(x_TK, mask_TK, ctx.undropped)
        dlow_TR, da_RK, db_NR = low_rank_gradients(dy_TN, seen_TK, low_TR, a_RK, b_NR, ctx.scale)
        dx_TK = None
        if ctx.needs_input_grad[0]:
            dx_TK = products.back(dy_TN, dense_weight(ctx.base, dy_TN.dtype))
            if mask_TK is None:
                dx_TK.addmm_(dlow_TR, a_RK.to(dy_TN.dtype))
            else:
                dx_TK += _drop(dlow_TR @ a_RK.to(dy_TN.dtype), mask_TK, ctx.undropped)
        return dx_TK, da_RK, db_NR, None, None, None


def _drop(x_TK: Tensor, mask_TK: Tensor, undropped: float) -> Tensor:
    """The input times mask and scale: the same forward and backward."""
    return cast("Tensor", torch.ops.aten.native_dropout_backward(x_TK, mask_TK, undropped))


def into_low_rank(x_TK: Tensor, a_RK: Tensor, scale: float) -> Tensor:
    """The low-rank product s x A^T, [T, R]. It is scaled here because it is the smallest tensor on the way."""
    return products.forward(x_TK, a_RK.to(x_TK.dtype)).mul_(scale)


def project(x_TK: Tensor, base: nn.Module, low_TR: Tensor | None, b_NR: Tensor | None) -> Tensor:
    """The output x W^T + b + l B^T, [T, N]; no low-rank part if there is none."""
    y_TN = products.forward(x_TK, dense_weight(base, x_TK.dtype))
    if low_TR is not None and b_NR is not None:
        y_TN.addmm_(low_TR, b_NR.to(x_TK.dtype).T)
    bias_N = cast("Tensor | None", base.bias)
    return y_TN if bias_N is None else y_TN.add_(bias_N)


def low_rank_gradients(
    dy_TN: Tensor, x_TK: Tensor, low_TR: Tensor, a_RK: Tensor, b_NR: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients e = s dy B (to be sent on to x through A), dA = e^T x and dB = dy^T l."""
    dlow_TR = products.back(dy_TN, b_NR.to(dy_TN.dtype)).mul_(scale)
    da_RK, db_RN = products.across(dlow_TR, x_TK), products.across(low_TR, dy_TN)
    return dlow_TR, da_RK.to(a_RK.dtype), db_RN.T.to(b_NR.dtype)
