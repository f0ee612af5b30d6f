"""Direct preference optimisation (Rafailov et al. 2023), with the label smoothing of conservative DPO (Mitchell 2023).

For a prompt x, the preferred answer y_w and the other answer y_l:

    r(y) = beta * sum over trained tokens t of y of  w_t * (log p(y_t | x, y_<t) - log p_ref(y_t | x, y_<t))
    h    = r(y_w) - r(y_l)
    loss = mean over pairs of  -(1 - e) * log sigmoid(h) - e * log sigmoid(-h)

p_ref is the untouched base, asked for the same micro-batch; e is the share of pairs believed to be the wrong way
round; w_t is the weight of the token's message, 1 unless the data says otherwise. Before the first step h is 0, so the
loss is log 2 = 0.693 whatever the data: what lies below it is learned.

`accuracy` is the share of pairs with h > 0, where h = 0 counts half; `reward_margin` the mean of h; `chosen_reward` and
`rejected_reward` the means of r(y_w) and r(y_l).

Shapes: M trained targets, P pairs.
"""

import torch
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


class Dpo:
    def __init__(self, *, beta: float, label_smoothing: float) -> None:
        self._beta, self._label_smoothing = beta, label_smoothing

    def micro_loss(self, model: TunableModel, batch: MicroBatch, totals: Totals) -> MicroLoss:
        """The model must keep its base: see `TunableModel.keeps_base`."""
        # first, while nothing is kept for the backward pass: the peak is that of the tuned model alone
        with torch.no_grad(), model.reference():
            reference_M, _ = target_log_probs(model, batch)
        log_probs_M, _ = target_log_probs(model, batch)
        # token by token: the sums of both are large and nearly equal, and float32 would lose what is between them
        ratios_M = log_probs_M.double() - reference_M.double()
        rewards_S = self._beta * sum_by_sequence(target_weights(batch) * ratios_M, batch)
        chosen_P, rejected_P = split_pairs(rewards_S)
        margin_P = chosen_P - rejected_P
        smoothing = self._label_smoothing
        losses_P = -(1 - smoothing) * logsigmoid(margin_P) - smoothing * logsigmoid(-margin_P)
        loss = losses_P.sum().to(log_probs_M.dtype) / totals.num_examples
        shares = {
            "accuracy": num_right(margin_P),
            "reward_margin": margin_P.detach().sum(),
            "chosen_reward": chosen_P.detach().sum(),
            "rejected_reward": rejected_P.detach().sum(),
        }
        return MicroLoss(
            loss=loss,
            shares={"loss": loss.detach()} | {name: value / totals.num_examples for name, value in shares.items()},
        )
