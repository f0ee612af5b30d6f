"""Causal attention that stops at the borders of the rows packed into one sequence.

Shapes: B = 1, H heads, K key/value heads, T tokens of the pack, D head size. Exact isolation, with no mask over the
pack to get wrong: the cost is the sum of squares of lengths, not the square of their sum. One formula, in two ways:

- row by row, a causal call of torch's for each row: on processors, and wherever the other cannot be had. Rows of equal
  length together would gain nothing: at 30 tokens a row all of attention is 2 % of a step of SmolLM2 on one core.
- one call of FlashAttention for all rows (Dao 2023; `torch.nn.attention.varlen`), on cards in half precision, after it
  has given the answer of the first on this card.

Queries of a group share their keys and values without copies in both.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NAME = "tailorbird_packed"

_BLOCK = 128  # queries at a time under a sliding window: each block sees window + 127 keys
_FLASH_DEVICES = ("cuda",)
_FLASH_DTYPES = (torch.bfloat16, torch.float16)
_PROBE_LENGTHS = (5, 1, 200, 33)
_PROBE_TOLERANCE = 3e-2  # of values around one in 8 bits of mantissa

logger = logging.getLogger(__name__)


def packed_attention(
    module: torch.nn.Module,
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    attention_mask: Tensor | None,
    *,
    sequence_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """The signature and the result [B, T, H, D] are transformers'.

    `sliding_window`: a token sees itself and the `sliding_window - 1` before it. Raises NotImplementedError for models
    that attend in a way this does not compute; none of it may be passed over in silence.
    """
    if softcap is not None or s_aux is not None or attention_mask is not None or not getattr(module, "is_causal", True):
        raise NotImplementedError(
            "rows can only be packed for causal attention without a cap on its scores, sinks or a mask of its own"
        )
    window = sliding_window if sliding_window is not None and max(sequence_lengths) > sliding_window else None
    if dropout == 0 and _can_use_flash(query_BHTD, key_BKTD, window):
        return _all_rows(query_BHTD, key_BKTD, value_BKTD, sequence_lengths, scaling, window), None
    return _row_by_row(query_BHTD, key_BKTD, value_BKTD, sequence_lengths, scaling, window, dropout=dropout), None


def register() -> str:
    """Makes the function known to transformers and returns the name to load a model with."""
    ALL_ATTENTION_FUNCTIONS.register(NAME, packed_attention)
    return NAME


def _row_by_row(
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    lengths: Sequence[int],
    scaling: float | None,
    window: int | None,
    *,
    dropout: float = 0.0,
) -> Tensor:
    rows = zip(
        *(torch.split(all_rows, list(lengths), 2) for all_rows in (query_BHTD, key_BKTD, value_BKTD)), strict=True
    )
    attended = [
        _row(query, key, value, scaling, dropout)
        if window is None or query.shape[2] <= window
        else _row_in_window(query, key, value, scaling, dropout, window)
        for query, key, value in rows
    ]
    return torch.cat([one.transpose(1, 2) for one in attended], dim=1)


def _row(query: Tensor, key: Tensor, value: Tensor, scaling: float | None, dropout: float) -> Tensor:
    return scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, dropout_p=dropout, enable_gqa=True
    )


def _row_in_window(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, dropout: float, window: int
) -> Tensor:
    """Blocks of queries, each with the keys that any of them sees: length x window products, not length squared."""
    length = query.shape[2]
    blocks = []
    for start in range(0, length, _BLOCK):
        stop, first = min(start + _BLOCK, length), max(0, start - window + 1)
        positions = torch.arange(start, stop, device=query.device)[:, None]
        seen = torch.arange(first, stop, device=query.device)
        blocks.append(
            scaled_dot_product_attention(
                query[:, :, start:stop],
                key[:, :, first:stop],
                value[:, :, first:stop],
                attn_mask=(seen <= positions) & (seen > positions - window),
                scale=scaling,
                dropout_p=dropout,
                enable_gqa=True,
            )
        )
    return torch.cat(blocks, dim=2)


def _all_rows(
    query_BHTD: Tensor,
    key_BKTD: Tensor,
    value_BKTD: Tensor,
    lengths: Sequence[int],
    scaling: float | None,
    window: int | None,
) -> Tensor:
    query_THD, key_TKD, value_TKD = (one[0].transpose(0, 1) for one in (query_BHTD, key_BKTD, value_BKTD))
    borders, longest = _borders(tuple(lengths), str(query_THD.device)), max(lengths)
    attended_THD = varlen_attn(
        query_THD,
        key_TKD,
        value_TKD,
        borders,
        borders,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),  # tokens before, tokens after
        enable_gqa=query_THD.shape[1] != key_TKD.shape[1],
    )
    return cast("Tensor", attended_THD)[None]  # a pair only for those who ask for more


@functools.lru_cache(maxsize=4)  # every layer of a pack asks for the same
def _borders(lengths: tuple[int, ...], device: str) -> Tensor:
    return torch.tensor((0, *lengths), device=device).cumsum(0, dtype=torch.int32)


def _can_use_flash(query_BHTD: Tensor, key_BKTD: Tensor, window: int | None) -> bool:
    if query_BHTD.device.type not in _FLASH_DEVICES or query_BHTD.dtype not in _FLASH_DTYPES:
        return False
    return _flash_agrees(
        str(query_BHTD.device),
        query_BHTD.dtype,
        query_BHTD.shape[1],
        key_BKTD.shape[1],
        query_BHTD.shape[3],
        has_window=window is not None,
    )


@functools.cache
def _flash_agrees(
    device: str, dtype: torch.dtype, num_heads: int, num_groups: int, head_size: int, *, has_window: bool
) -> bool:
    """Whether FlashAttention runs here and gives values and gradients of the row-by-row form, for such heads."""
    generator = torch.Generator().manual_seed(0)
    window = 20 if has_window else None
    query, key, value, upstream = (
        torch.randn(1, heads, sum(_PROBE_LENGTHS), head_size, generator=generator).to(device, dtype)
        for heads in (num_heads, num_groups, num_groups, num_heads)
    )

    def results(attend: Any, dtype: torch.dtype) -> list[Tensor]:  # noqa: ANN401
        inputs = [one.detach().to(dtype).requires_grad_() for one in (query, key, value)]
        attended = attend(*inputs, _PROBE_LENGTHS, None, window)
        grads = torch.autograd.grad(attended, inputs, upstream.to(dtype).transpose(1, 2))
        return [one.float() for one in (attended.detach(), *grads)]

    try:
        with torch.enable_grad():
            found, expected = results(_all_rows, dtype), results(_row_by_row, torch.float32)
    except (RuntimeError, TypeError, ValueError) as error:  # another torch, a card without it, a head it cannot take
        logger.warning("attention goes row by row: FlashAttention over packed rows does not run here (%s)", error)
        return False
    is_right = all(
        torch.allclose(one, other, rtol=_PROBE_TOLERANCE, atol=_PROBE_TOLERANCE * float(other.abs().max().clamp(min=1)))
        for one, other in zip(found, expected, strict=True)
    )
    if not is_right:
        logger.warning("attention goes row by row: FlashAttention over packed rows gives other numbers here")
    return is_right
