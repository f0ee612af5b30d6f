"""Rows of the index as tensors of one packed micro-batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.training.data.packing import pack
from worker.training.data.token_index import TokenIndex


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """T tokens of several rows end to end. `targets_T[t]` is the next token of the same row."""

    token_ids_T: Tensor
    targets_T: Tensor
    is_target_T: Tensor
    row_lengths: tuple[int, ...]


def micro_batches(index: TokenIndex, rows: Sequence[int], *, capacity: int, device: str) -> Iterator[MicroBatch]:
    for chosen in pack([index.length(row) for row in rows], capacity=capacity):
        yield _assemble(index, [rows[place] for place in chosen], device)


def num_targets(index: TokenIndex, rows: Sequence[int]) -> int:
    """Trained targets of these rows; a row's first token is predicted by nothing, so never one."""
    return sum(int(index.trained(row)[1:].sum()) for row in rows)


def _assemble(index: TokenIndex, rows: Sequence[int], device: str) -> MicroBatch:
    tokens = [np.asarray(index.tokens(row), dtype=np.int64) for row in rows]
    trained = [np.asarray(index.trained(row)) for row in rows]
    # the last position of a row predicts nothing: shifted in by one, closed with a non-target
    targets = [np.append(ids[1:], 0) for ids in tokens]
    is_target = [np.append(mask[1:], False) for mask in trained]
    return MicroBatch(
        token_ids_T=torch.from_numpy(np.concatenate(tokens)).to(device),
        targets_T=torch.from_numpy(np.concatenate(targets)).to(device),
        is_target_T=torch.from_numpy(np.concatenate(is_target)).to(device),
        row_lengths=tuple(len(ids) for ids in tokens),
    )
