"""Supervised fine-tuning: cross-entropy on the assistant's tokens.

    loss = 1/W * sum over trained targets t of  w_t * -log softmax(W_head h_{t-1})[x_t],     W = sum of w_t

with the sums over the whole effective batch (every example of the optimizer step, over all micro-batches and
processes), so that a short answer's token weighs as much as a long one's and splitting a batch changes nothing. w_t is
the weight of the message that the token belongs to: 1 unless the data says otherwise. `accuracy` is the share of
trained targets, each counted once, that no other token was likelier than.

Shapes: M trained targets.
"""

from worker.training.batches import MicroBatch
from worker.training.methods.model import TunableModel
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.target_scores import target_log_probs


class Sft:
    def micro_loss(self, model: TunableModel, batch: MicroBatch, totals: Totals) -> MicroLoss:
        log_probs_M, is_correct_M = target_log_probs(model, batch)
        loss = -(log_probs_M * batch.weights_T[batch.weights_T > 0]).sum() / totals.weight
        accuracy = is_correct_M.sum() / totals.num_targets
        return MicroLoss(loss=loss, shares={"loss": loss.detach(), "accuracy": accuracy})
