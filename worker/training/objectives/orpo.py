"""Odds-ratio preference optimisation (Hong et al. 2024): the supervised loss and a preference in one, no reference.

For a prompt x, the preferred answer y_w and the other answer y_l:

    log P(y) = 1/|y| * sum over trained tokens t of y of  w_t * log p(y_t | x, y_<t),      |y| = sum of w_t
    odds(y)  = P(y) / (1 - P(y))
    nll      = 1/W * sum over all preferred answers and their trained tokens t of  w_t * -log p(y_t | x, y_<t)
    loss     = nll + beta * mean over pairs of  -log sigmoid(log odds(y_w) - log odds(y_l))

with W the sum of the weights of all preferred answers of the effective batch; w_t is 1 unless the data says otherwise.
`nll` is the loss that supervised fine-tuning on the preferred answers alone would have. The authors' code and TRL take
it over the prompt's tokens, too; here, as everywhere else, a model does not learn to ask. `beta` is the paper's lambda.

`accuracy` is the share of pairs whose preferred answer has the higher odds, where equal ones count half;
`chosen_reward` and `rejected_reward` are the means of beta * log P, as TRL names them, and `reward_margin` is what lies
between.

Shapes: M trained targets, S sequences, P pairs.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from worker.training.batches import MicroBatch
from worker.training.methods.model import TunableModel
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.target_scores import (
    num_right,
    split_pairs,
    sum_by_sequence,
    target_log_probs,
    target_weights,
)

# log p of a token is known to no better than this in float32, so P = 1 is none that can be told from 1 - 2^-24
_CERTAIN = -(2.0**-24)


class Orpo:
    def __init__(self, *, beta: float) -> None:
        self._beta = beta

    def micro_loss(self, model: TunableModel, batch: MicroBatch, totals: Totals) -> MicroLoss:
        log_probs_M, _ = target_log_probs(model, batch)
        weights_M = target_weights(batch)
        log_probs_S = sum_by_sequence(weights_M * log_probs_M.double(), batch)
        means_S = log_probs_S / sum_by_sequence(weights_M, batch)
        log_odds_P = torch.sub(*split_pairs(_log_odds(means_S)))
        nll = -split_pairs(log_probs_S)[0].sum() / totals.preferred_weight
        preference = -logsigmoid(log_odds_P).sum() / totals.num_examples
        loss = (nll + self._beta * preference).to(log_probs_M.dtype)
        chosen, rejected = (self._beta * means_P.detach().sum() for means_P in split_pairs(means_S))
        shares = {
            "accuracy": num_right(log_odds_P),
            "reward_margin": chosen - rejected,
            "chosen_reward": chosen,
            "rejected_reward": rejected,
        }
        return MicroLoss(
            loss=loss,
            shares={"loss": loss.detach(), "nll": nll.detach()}
            | {name: value / totals.num_examples for name, value in shares.items()},
        )


def _log_odds(log_prob: Tensor) -> Tensor:
    """log(P / (1 - P)) of log P <= 0, finite and with a finite gradient also where P is 1."""
    log_prob = log_prob.clamp(max=_CERTAIN)
    return log_prob - log1mexp(log_prob)


def log1mexp(log_prob: Tensor) -> Tensor:
    """log(1 - exp(x)) of x < 0: near 0 by expm1, far from it by log1p, as neither keeps its digits in both places.

    Mächler 2012, "Accurately computing log(1 - exp(-|a|))". Both sides of the choice and their gradients are finite.
    """
    near, far = (-torch.expm1(log_prob)).log(), torch.log1p(-log_prob.exp())
    return torch.where(log_prob > -math.log(2), near, far)
