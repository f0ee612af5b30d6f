"""Causal attention that stops at the borders of the rows packed into one sequence.

Shapes: B = 1, H heads, K key/value heads, T tokens of the pack, D head size. Each row attends to itself only, by a
causal call: exact isolation (no mask to get wrong), at the cost of summed squares of lengths, not of the squared sum.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "tailorbird_packed"


def packed_attention(
    module: torch.nn.Module,  # noqa: ARG001 - the signature is transformers'
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001
    *,
    sequence_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    lengths = list(sequence_lengths)
    rows = zip(*(torch.split(all_rows, lengths, 2) for all_rows in (query_BHTD, key_BKTD, value_BKTD)), strict=True)
    attended = [
        scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, dropout_p=dropout, enable_gqa=True
        ).transpose(1, 2)
        for query, key, value in rows
    ]
    return torch.cat(attended, dim=1), None


def register() -> str:
    """Makes the function known to transformers and returns the name to load a model with."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
    return NAME
