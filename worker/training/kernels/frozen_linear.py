"""A frozen linear layer as one step of autograd, where there is a quicker product than `nn.Linear` takes.

    y = x W^T + b,    dx = dy W

For layers without a pair beside them, and for those whose pair is disabled for now (DPO's reference, the base that a
run is measured against).
"""

import types
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.training.kernels import products


def install(model: nn.Module) -> int:
    """Makes every plain linear layer compute by this file while nobody learns its weight; returns how many.

    None where `nn.Linear` is as quick. The output head is left to `token_log_probs`.
    """
    if not products.PREFERS_ONEDNN:
        return 0
    layers = [module for module in model.modules() if type(module) is nn.Linear and not module.weight.requires_grad]
    for layer in layers:
        layer.forward = types.MethodType(_forward, layer)  # type: ignore[method-assign]
    return len(layers)


def _forward(self: nn.Linear, x: Tensor) -> Tensor:
    if (
        self.weight.requires_grad
        or x.dtype != torch.float32
        or x.device.type != "cpu"
        or torch.is_autocast_enabled(x.device.type)
    ):
        return nn.Linear.forward(self, x)
    y_TN = _FrozenLinear.apply(x.reshape(-1, x.shape[-1]), self.weight, self.bias)  # type: ignore[no-untyped-call]
    return cast("Tensor", y_TN.view(*x.shape[:-1], y_TN.shape[-1]))


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TK: Tensor, weight_NK: Tensor, bias_N: Tensor | None) -> Tensor:  # noqa: ANN401
        ctx.weight = weight_NK
        y_TN = products.forward(x_TK, weight_NK)
        return y_TN if bias_N is None else y_TN.add_(bias_N)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy_TN: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        return products.back(dy_TN, ctx.weight) if ctx.needs_input_grad[0] else None, None, None
