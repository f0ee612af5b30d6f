"""Log-probabilities of target tokens without ever holding all logits.

    z_m = softcap(W h_m + b)    log p_m = z_m[y_m] - logsumexp(z_m)    softcap(u) = c tanh(u / c), if the model has one

For T*V logits of a vocabulary of 128k this is the largest tensor of a training step; here only C*V of them exist at a
time (Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models"; Liger's fused linear cross-entropy).
While the head is frozen, d log p_m / d h_m does not depend on what the loss does with log p_m but by a factor, so it is
computed in the forward pass from the logits that are there anyway:

    d log p_m / d h_m = W^T ((onehot(y_m) - softmax(z_m)) * softcap'),   softcap' = 1 - (z_m / c)^2

[M, D] numbers are kept, and the backward pass multiplies row m by the gradient of log p_m: two products of M*V*D
instead of the three of recomputation. A head that learns needs that gradient first, so its logits are made twice.

Shapes: M targets, C of them at a time, D hidden size, V vocabulary. Products are in the dtype of the hidden states,
everything from the logits on in float32 (float64 where the hidden states are).
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from worker.training.kernels import products

_CHUNK_LOGITS = {"cpu": 2**24, "cuda": 2**27}  # 64 MB and 512 MB of float32: larger gives no faster products


def token_log_probs(
    hidden_MD: Tensor, head: nn.Module, targets_M: Tensor, *, logit_softcap: float | None = None
) -> tuple[Tensor, Tensor]:
    """Returns log p of each target, differentiable, and whether no other token was likelier (bool).

    `head` is a linear layer (`weight` [V, D], optional `bias` [V]); `logit_softcap` is the config's
    `final_logit_softcapping`. Without gradients nothing is kept. Gradients reach the hidden states, and the head's
    weight and bias where they require it (full fine-tuning, tied embeddings). Gradients of gradients are refused.

    Raises TypeError for a head that is no plain linear layer (quantised, or wrapped by an adapter).
    """
    weight_VD, bias_V = _plain_linear(head)
    learns = torch.is_grad_enabled()
    head_learns = learns and (weight_VD.requires_grad or (bias_V is not None and bias_V.requires_grad))
    if head_learns:
        result = _LearningHead.apply(hidden_MD, weight_VD, bias_V, targets_M, logit_softcap)  # type: ignore[no-untyped-call]
    elif learns and hidden_MD.requires_grad:
        result = _FrozenHead.apply(hidden_MD, weight_VD, bias_V, targets_M, logit_softcap)  # type: ignore[no-untyped-call]
    else:
        result = _values(hidden_MD.detach(), weight_VD.detach(), bias_V, targets_M, logit_softcap)
    return cast("tuple[Tensor, Tensor]", result)


class _FrozenHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch names no type for it
        hidden_MD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_M: Tensor,
        softcap: float | None,
    ) -> tuple[Tensor, Tensor]:
        unit_MD = torch.empty_like(hidden_MD)
        log_probs_M, is_correct_M = _values(hidden_MD, weight_VD, bias_V, targets_M, softcap, unit_MD=unit_MD)
        ctx.save_for_backward(unit_MD)
        ctx.mark_non_differentiable(is_correct_M)
        return log_probs_M, is_correct_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_M: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        (unit_MD,) = ctx.saved_tensors
        return unit_MD * grad_M[:, None].to(unit_MD.dtype), None, None, None, None


class _LearningHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        hidden_MD: Tensor,
        weight_VD: Tensor,
        bias_V: Tensor | None,
        targets_M: Tensor,
        softcap: float | None,
    ) -> tuple[Tensor, Tensor]:
        log_probs_M, is_correct_M = _values(hidden_MD, weight_VD, bias_V, targets_M, softcap)
        ctx.save_for_backward(hidden_MD, weight_VD, bias_V, targets_M)
        ctx.softcap = softcap
        ctx.mark_non_differentiable(is_correct_M)
        return log_probs_M, is_correct_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_M: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        hidden_MD, weight_VD, bias_V, targets_M = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias, *_ = ctx.needs_input_grad
        wide = _softmax_dtype(hidden_MD)
        compute_VD = weight_VD.to(hidden_MD.dtype)
        grad_hidden_MD = torch.empty_like(hidden_MD) if needs_hidden else None
        # sums over chunks are kept wide: in bfloat16 a later chunk would vanish beside the sum of the earlier ones
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=wide) if needs_weight else None
        grad_bias_V = torch.zeros_like(bias_V, dtype=wide) if needs_bias else None
        for part, logits_CV in _chunks(hidden_MD, compute_VD, bias_V, ctx.softcap):
            _, _, minus_CV = _measure(logits_CV, targets_M[part], ctx.softcap, with_gradient=True)
            minus_CV.mul_(grad_M[part, None])
            narrow_CV = minus_CV.to(hidden_MD.dtype)
            if grad_hidden_MD is not None:
                torch.neg(products.back(narrow_CV, compute_VD), out=grad_hidden_MD[part])
            if grad_weight_VD is not None and narrow_CV.dtype == wide:
                grad_weight_VD.addmm_(narrow_CV.T, hidden_MD[part], alpha=-1)
            elif grad_weight_VD is not None:
                grad_weight_VD.sub_(narrow_CV.T @ hidden_MD[part])
            if grad_bias_V is not None:
                grad_bias_V.sub_(minus_CV.sum(dim=0))
        return (
            grad_hidden_MD,
            None if grad_weight_VD is None else grad_weight_VD.to(weight_VD.dtype),
            None if grad_bias_V is None else grad_bias_V.to(bias_V.dtype),
            None,
            None,
        )


def _values(
    hidden_MD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    targets_M: Tensor,
    softcap: float | None,
    *,
    unit_MD: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and correctness; d log p_m / d h_m goes into `unit_MD` if it is given."""
    compute_VD = weight_VD.to(hidden_MD.dtype)
    log_probs_M = torch.empty(len(hidden_MD), dtype=_softmax_dtype(hidden_MD), device=hidden_MD.device)
    is_correct_M = torch.empty(len(hidden_MD), dtype=torch.bool, device=hidden_MD.device)
    for part, logits_CV in _chunks(hidden_MD, compute_VD, bias_V, softcap):
        log_probs_M[part], is_correct_M[part], minus_CV = _measure(
            logits_CV, targets_M[part], softcap, with_gradient=unit_MD is not None
        )
        if unit_MD is not None:
            torch.neg(products.back(minus_CV.to(hidden_MD.dtype), compute_VD), out=unit_MD[part])
    return log_probs_M, is_correct_M


def _chunks(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, softcap: float | None
) -> Iterator[tuple[slice, Tensor]]:
    """Places and logits of C targets at a time.

    Where the product can be written there, each time in the same memory: new pages cost more than the softmax.
    """
    num_targets, num_tokens = len(hidden_MD), len(weight_VD)
    size = min(num_targets, max(1, _CHUNK_LOGITS.get(hidden_MD.device.type, 2**24) // num_tokens))
    wide = _softmax_dtype(hidden_MD)
    is_new_each_time = products.PREFERS_ONEDNN and hidden_MD.dtype == wide and hidden_MD.device.type == "cpu"
    kept_CV = torch.empty(0 if is_new_each_time else size, num_tokens, dtype=wide, device=hidden_MD.device)
    for start in range(0, num_targets, max(1, size)):
        part = slice(start, min(start + size, num_targets))
        if is_new_each_time:
            logits_CV = products.forward(hidden_MD[part], weight_VD)
        elif hidden_MD.dtype == wide:
            logits_CV = torch.mm(hidden_MD[part], weight_VD.T, out=kept_CV[: part.stop - start])
        else:
            logits_CV = kept_CV[: part.stop - start].copy_(hidden_MD[part] @ weight_VD.T)
        if bias_V is not None:
            logits_CV.add_(bias_V)
        if softcap is not None:
            logits_CV.div_(softcap).tanh_().mul_(softcap)
        yield part, logits_CV


def _measure(
    logits_CV: Tensor, targets_C: Tensor, softcap: float | None, *, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities, correctness, and minus d log p / d (logits before the cap); overwrites the logits.

    log p = z_y - max z + log(max softmax): exact where softmax(z)_y is too small for a float, and one pass less over
    the logits than a logsumexp beside the softmax.
    """
    index_C1 = targets_C[:, None]
    highest_C = logits_CV.amax(dim=-1)
    at_target_C = logits_CV.gather(1, index_C1)[:, 0]
    slope_CV = 1 - (logits_CV / softcap) ** 2 if softcap is not None and with_gradient else None
    # in place on the CPU, where the kernel works row by row
    probs_CV = torch.softmax(logits_CV, dim=-1, out=logits_CV if logits_CV.device.type == "cpu" else None)
    log_probs_C = at_target_C - highest_C + probs_CV.amax(dim=-1).log()
    if with_gradient:
        probs_CV.scatter_add_(1, index_C1, probs_CV.new_full((), -1.0).expand_as(index_C1))
        if slope_CV is not None:
            probs_CV.mul_(slope_CV)
    return log_probs_C, at_target_C >= highest_C, probs_CV


def _plain_linear(head: nn.Module) -> tuple[Tensor, Tensor | None]:
    weight, bias = getattr(head, "weight", None), getattr(head, "bias", None)
    if not isinstance(weight, Tensor) or not weight.is_floating_point() or hasattr(head, "base_layer"):
        raise TypeError(f"the output head must be a plain linear layer, not {type(head).__name__}")
    return weight, bias


def _softmax_dtype(hidden_MD: Tensor) -> torch.dtype:
    return torch.promote_types(hidden_MD.dtype, torch.float32)
