"""Supervised fine-tuning: cross-entropy on the assistant's tokens.

    loss = 1/W * sum over trained targets t of  w_t * -log softmax(W_head h_{t-1})[x_t],     W = sum of w_t

with the sums over the whole effective batch (every example of the optimizer step, over all micro-batches and
processes), so that a short answer's token weighs as much as a long one's and splitting a batch changes nothing. w_t is
the weight of the message that the token belongs to: 1 unless the data says otherwise.

Shapes: T tokens of the pack, M trained targets, D hidden size.
"""

from worker.training.batches import MicroBatch
from worker.training.kernels.token_log_probs import token_log_probs
from worker.training.methods.model import TunableModel
from worker.training.objectives.objective import MicroLoss, Totals


class Sft:
    def micro_loss(self, model: TunableModel, batch: MicroBatch, totals: Totals) -> MicroLoss:
        hidden_TD = model.hidden(batch.token_ids_T, sequence_lengths=batch.sequence_lengths)
        is_target_T = batch.weights_T > 0
        log_probs_M, is_correct_M = token_log_probs(
            hidden_TD[is_target_T], model.head, batch.targets_T[is_target_T], logit_softcap=model.logit_softcap
        )
        loss = -(log_probs_M * batch.weights_T[is_target_T]).sum() / totals.weight
        accuracy = is_correct_M.sum() / totals.num_targets
        return MicroLoss(loss=loss, shares={"loss": loss.detach(), "accuracy": accuracy})
