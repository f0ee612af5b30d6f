"""Examples of the index as tensors of one packed micro-batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worker.training.data.token_index import TokenIndex


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """T tokens of several sequences end to end.

    `targets_T[t]` is the next token of the same sequence and `weights_T[t]` (float32) what its prediction weighs in the
    loss; 0 where there is nothing to learn, as at the last token of every sequence.
    """

    token_ids_T: Tensor
    targets_T: Tensor
    weights_T: Tensor
    sequence_lengths: tuple[int, ...]


def assemble(index: TokenIndex, examples: Sequence[int], *, device: str) -> MicroBatch:
    """The examples' sequences in their order; those of one example stay together."""
    sequences = [sequence for example in examples for sequence in index.sequences(example)]
    tokens = [np.asarray(index.tokens(sequence), dtype=np.int64) for sequence in sequences]
    weights = [np.asarray(index.sequence_weights(sequence)) for sequence in sequences]
    # both are shifted by one: position t answers for token t + 1
    targets = [np.append(ids[1:], 0) for ids in tokens]
    shifted = [np.append(values[1:], np.float32(0)) for values in weights]
    return MicroBatch(
        token_ids_T=torch.from_numpy(np.concatenate(tokens)).to(device),
        targets_T=torch.from_numpy(np.concatenate(targets)).to(device),
        weights_T=torch.from_numpy(np.concatenate(shifted)).to(device),
        sequence_lengths=tuple(len(ids) for ids in tokens),
    )
