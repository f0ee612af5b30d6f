"""How likely the model finds the trained targets of a micro-batch, one by one and summed by sequence.

Shapes: T tokens of the pack, M trained targets among them, S sequences, P pairs (S = 2 P), D hidden size.
"""

import torch
from torch import Tensor

from worker.training.batches import MicroBatch
from worker.training.kernels.token_log_probs import token_log_probs
from worker.training.methods.model import TunableModel


def target_log_probs(model: TunableModel, batch: MicroBatch) -> tuple[Tensor, Tensor]:
    """Returns log p of each trained target, float32 [M], and whether no other token was likelier, bool [M]."""
    hidden_TD = model.hidden(batch.token_ids_T, sequence_lengths=batch.sequence_lengths)
    is_target_T = batch.weights_T > 0
    return token_log_probs(
        hidden_TD[is_target_T], model.head, batch.targets_T[is_target_T], logit_softcap=model.logit_softcap
    )


def target_weights(batch: MicroBatch) -> Tensor:
    """Weights of the trained targets [M], in float64: what is summed over a long answer keeps its digits."""
    return batch.weights_T[batch.weights_T > 0].double()


def sum_by_sequence(values_M: Tensor, batch: MicroBatch) -> Tensor:
    """Sums [S] of one value a trained target.

    Each sequence is added up alone and from left to right: its sum does not depend, in any bit, on what it is packed
    with, and no two threads of a card add to the same place.
    """
    values_T = values_M.new_zeros(len(batch.weights_T)).masked_scatter(batch.weights_T > 0, values_M)
    lengths_S = torch.tensor(batch.sequence_lengths, device=values_M.device)
    return torch.segment_reduce(values_T, "sum", lengths=lengths_S)


def split_pairs(values_S: Tensor) -> tuple[Tensor, Tensor]:
    """Of the preferred answers [P] and of the others [P]: the sequences of a pair are neighbours, in this order."""
    return values_S[0::2], values_S[1::2]


def num_right(margin_P: Tensor) -> Tensor:
    """Pairs whose margin is positive; no margin at all is half right, as a guess is."""
    return ((margin_P.detach().sign() + 1) / 2).sum()
