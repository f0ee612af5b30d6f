"""DoRA beside a frozen linear layer as one step of autograd (Liu et al. 2024).

    y = c (x W^T + s x A^T B^T) + b        c = m / n,  n_j = |w_j + s (B A)_j|, taken as constant by the gradient

The lengths n are of the rows of an [N, K] matrix that PEFT makes at every step, with a product of K "tokens" to get
it. They follow from products of R:

    n^2 = |w|^2 + 2 s <B, W A^T> + s^2 <B, B (A A^T)>        <.,.> by rows; |w|^2 once, for W never changes

The backward pass, with dy0 = c dy in the place of LoRA's dy (`lora_linear`), and y0 the output before c:

    dm = sum over t of (dy y0) / n

Shapes: T tokens, K inputs, N outputs, R rank. Dropout, where there is some, drops inputs of A alone.
"""

import types
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PlainLora
from peft.tuners.lora.bnb import Linear4bit as FourBitLora
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.training.kernels import products
from worker.training.kernels.frozen_weight import dense_weight, is_frozen_linear
from worker.training.kernels.lora_linear import into_low_rank, low_rank_gradients

_NAME = "default"
_SQUARES = "squared_lengths_of_base"


def install(model: nn.Module) -> int:
    """Makes every DoRA layer of a PEFT model compute by this file; returns how many.

    To be called once, before the first step. Learned lengths start anew, as the exact float32 lengths of the frozen
    weights: PEFT measures them in the base's dtype, and bfloat16 would change outputs by up to 0.4 % at the start.
    """
    layers = [module for module in model.modules() if type(module) in (PlainLora, FourBitLora) and _is_dora(module)]
    for layer in layers:
        lengths = cast("Any", layer).lora_magnitude_vector[_NAME]
        squares_N = dense_weight(cast("Any", layer).base_layer, torch.float32).square().sum(dim=1)
        lengths.register_buffer(_SQUARES, squares_N, persistent=False)
        with torch.no_grad():
            lengths.weight.copy_(squares_N.sqrt())
        layer.forward = types.MethodType(_forward, layer)
    return len(layers)


def _is_dora(layer: nn.Module) -> bool:
    lora = cast("Any", layer)
    return _NAME in lora.lora_magnitude_vector and is_frozen_linear(lora.base_layer) and not lora.fan_in_fan_out


def _forward(self: Any, x: Tensor) -> Tensor:  # noqa: ANN401
    if self.disable_adapters or self.merged or torch.is_autocast_enabled(x.device.type):
        return cast("Tensor", type(self).forward(self, x))
    dropout, lengths = self.lora_dropout[_NAME], self.lora_magnitude_vector[_NAME]
    y_TN = _DoraLinear.apply(  # type: ignore[no-untyped-call]
        x.reshape(-1, x.shape[-1]),
        self.lora_A[_NAME].weight,
        self.lora_B[_NAME].weight,
        lengths.weight,
        getattr(lengths, _SQUARES),
        self.base_layer,
        self.scaling[_NAME],
        dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0,
    )
    return cast("Tensor", y_TN.view(*x.shape[:-1], y_TN.shape[-1]))


class _DoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch names no type for it
        x_TK: Tensor,
        a_RK: Tensor,
        b_NR: Tensor,
        lengths_N: Tensor,
        squares_N: Tensor,
        base: nn.Module,
        scale: float,
        dropout: float,
    ) -> Tensor:
        seen_TK, mask_TK = torch.native_dropout(x_TK, dropout, train=True) if dropout > 0 else (x_TK, None)
        weight_NK = dense_weight(base, x_TK.dtype)
        actual_N = _lengths(weight_NK, squares_N, a_RK, b_NR, scale)
        low_TR = into_low_rank(seen_TK, a_RK, scale)
        plain_TN = products.forward(x_TK, weight_NK).addmm_(low_TR, b_NR.to(x_TK.dtype).T)
        ctx.save_for_backward(x_TK, a_RK, b_NR, lengths_N, actual_N, low_TR, plain_TN, mask_TK)
        ctx.base, ctx.scale, ctx.undropped = base, scale, 1 / (1 - dropout)
        y_TN = _stretched(plain_TN, lengths_N / actual_N)
        bias_N = cast("Tensor | None", base.bias)
        return y_TN if bias_N is None else y_TN.add_(bias_N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TN: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x_TK, a_RK, b_NR, lengths_N, actual_N, low_TR, plain_TN, mask_TK = ctx.saved_tensors
        dlengths_N = (dy_TN * plain_TN).sum(dim=0, dtype=actual_N.dtype) / actual_N
        dplain_TN = _stretched(dy_TN, lengths_N / actual_N)
        seen_TK = x_TK if mask_TK is None else _drop(x_TK, mask_TK, ctx.undropped)
        dlow_TR, da_RK, db_NR = low_rank_gradients(dplain_TN, seen_TK, low_TR, a_RK, b_NR, ctx.scale)
        dx_TK = None
        if ctx.needs_input_grad[0]:
            dx_TK = products.back(dplain_TN, dense_weight(ctx.base, dy_TN.dtype))
            if mask_TK is None:
                dx_TK.addmm_(dlow_TR, a_RK.to(dy_TN.dtype))
            else:
                dx_TK += _drop(dlow_TR @ a_RK.to(dy_TN.dtype), mask_TK, ctx.undropped)
        return dx_TK, da_RK, db_NR, dlengths_N.to(lengths_N.dtype), None, None, None, None


def _lengths(weight_NK: Tensor, squares_N: Tensor, a_RK: Tensor, b_NR: Tensor, scale: float) -> Tensor:
    """N of each row, at least in float32; with B zero exactly that of W."""
    own_NR = torch.mm(weight_NK, a_RK.to(weight_NK.dtype).T).to(b_NR.dtype)
    cross_N = (b_NR * own_NR).sum(dim=1)
    added_N = (b_NR * (b_NR @ (a_RK @ a_RK.T))).sum(dim=1)
    return (squares_N + 2 * scale * cross_N + scale**2 * added_N).sqrt()


def _stretched(y_TN: Tensor, c_N: Tensor) -> Tensor:
    """The product in the dtype of c, kept in that of y: a c of 1.003 is 1 in bfloat16, and nothing would be learned."""
    return torch.mul(y_TN, c_N, out=torch.empty_like(y_TN))


def _drop(x_TK: Tensor, mask_TK: Tensor, undropped: float) -> Tensor:
    """The input times mask and scale: the same forward and backward."""
    return cast("Tensor", torch.ops.aten.native_dropout_backward(x_TK, mask_TK, undropped))
