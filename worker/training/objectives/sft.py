"""Supervised fine-tuning: cross-entropy on the assistant's tokens.

    loss = 1/N * sum over trained targets t of  -log softmax(W h_{t-1})[x_t]

with N the trained targets of the whole effective batch (every row of the optimizer step, over all micro-batches), so
that a short answer's token weighs as much as a long one's and splitting a batch changes nothing.

Shapes: T tokens of the pack, M trained targets, C of them at a time, D hidden size, V vocabulary. Logits are made for
the M targets only and C at a time, recomputed in the backward pass: C*V floats in memory instead of T*V, in float32.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

_CHUNK = 256  # at a vocabulary of 49,152 one chunk of float32 logits is 50 MB


@dataclass(frozen=True, slots=True)
class Loss:
    """Sums over trained targets: divide by `num_targets` for means."""

    sum: Tensor
    num_correct: int
    num_targets: int


def sft_loss(hidden_TD: Tensor, head: torch.nn.Module, *, targets_T: Tensor, is_target_T: Tensor) -> Loss:
    """`targets_T[t]` is the token that position t should predict; only where `is_target_T`."""
    hidden_MD, targets_M = hidden_TD[is_target_T], targets_T[is_target_T]
    total = hidden_TD.new_zeros((), dtype=torch.float32)
    num_correct = 0
    for hidden_CD, targets_C in zip(torch.split(hidden_MD, _CHUNK), torch.split(targets_M, _CHUNK), strict=True):
        chunk_sum, chunk_correct = checkpoint(_chunk_loss, hidden_CD, targets_C, head, use_reentrant=False)
        total = total + chunk_sum
        num_correct += int(chunk_correct)
    return Loss(sum=total, num_correct=num_correct, num_targets=len(targets_M))


def _chunk_loss(hidden_CD: Tensor, targets_C: Tensor, head: torch.nn.Module) -> tuple[Tensor, Tensor]:
    logits_CV = head(hidden_CD).float()
    correct = (logits_CV.detach().argmax(dim=-1) == targets_C).sum()
    return cross_entropy(logits_CV, targets_C, reduction="sum"), correct
