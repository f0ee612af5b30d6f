"""The training loop. Top to bottom: measure the base, step through the planned batches, measure again, keep the best.

It knows nothing of methods (a `TunableModel` comes prepared) or of files other than checkpoints.
"""

import math
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.training.spec import RunInput
from worker.training import checkpoint, recovery
from worker.training.batches import micro_batches, num_targets
from worker.training.checkpoint import Position
from worker.training.data.token_index import TokenIndex
from worker.training.events import EventWriter
from worker.training.failures import Interrupted, NonFiniteLoss
from worker.training.methods.adapters import TunableModel
from worker.training.objectives.sft import sft_loss
from worker.training.schedule import learning_rate, plan_batches

_STEP_SEED_STRIDE = 1_000_003  # a prime: dropout of (seed, step) does not repeat under a neighbouring seed


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over trained tokens: of the loss in nats, and of how often the likeliest token was the right one."""

    loss: float
    accuracy: float


class Loop:
    def __init__(
        self,
        run: RunInput,
        model: TunableModel,
        *,
        train: TokenIndex,
        heldout: TokenIndex,
        checkpoints: Path,
        belongs_to: str,
        micro_batch_tokens: int,
        events: EventWriter,
        stop_requested: Callable[[], bool],
    ) -> None:
        self._run, self._model, self._events, self._stop_requested = run, model, events, stop_requested
        self._train, self._heldout = train, heldout
        self._checkpoints, self._belongs_to = checkpoints, belongs_to
        self._capacity = micro_batch_tokens
        self._parameters = model.trainable()
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=run.learning_rate, betas=(0.9, 0.999), weight_decay=run.weight_decay
        )
        self._batches = plan_batches(train, run)
        self._learning_rate = learning_rate(run, total_steps=len(self._batches))
        self._tokens_left = sum(train.length(row) for batch in self._batches for row in batch)
        self._position = Position()
        self._best: dict[str, Tensor] = {}
        self._evaluation_s = 0.0
        self._saved_at = time.monotonic()
        self._saved_step: int | None = None

    def run(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Trains to the end. Returns the best adapter's tensors and the results.

        Raises Interrupted with a checkpoint saved, or NonFiniteLoss with the weights still those of the step before.
        """
        self._resume()
        if self._position.measured_step < 0:
            self._measure_base()
        self._events.stage("training")
        while True:
            if self._is_evaluation_due():
                self._keep_if_best()
            if self._is_last():
                break
            self._save_if_due()
            self._step()
            self._stop_if_asked()
        # what comes now (saving, publishing) may be interrupted too, and must not cost the training
        self._save()
        return self._best, self._results()

    def _is_last(self) -> bool:
        return self._position.step == len(self._batches)

    def _is_evaluation_due(self) -> bool:
        position, every = self._position, self._run.eval_every_steps
        is_planned = self._is_last() or (every is not None and position.step > 0 and position.step % every == 0)
        return is_planned and position.measured_step < position.step

    def _measure_base(self) -> None:
        self._events.stage("measuring_base")
        base = self._measure()
        self._position.base_loss, self._position.base_accuracy = base.loss, base.accuracy
        self._report_measured({"full_valid_loss": base.loss, "valid_mean_token_accuracy": base.accuracy})

    def _stop_if_asked(self) -> None:
        if self._stop_requested():
            self._save()
            raise Interrupted

    def _save_if_due(self) -> None:
        every = self._run.checkpoint_every_steps
        is_step_due = every is not None and self._position.step % every == 0
        if is_step_due or time.monotonic() - self._saved_at >= self._run.checkpoint_every_s:
            self._save()

    def _step(self) -> None:
        """One optimizer step over the whole effective batch: gradients of its micro-batches add up to those of one."""
        started, step = time.monotonic(), self._position.step
        rows = self._batches[step]
        torch.manual_seed(self._run.seed * _STEP_SEED_STRIDE + step)
        self._model.set_dropout(is_on=True)
        targets = num_targets(self._train, rows)
        loss_sum, num_correct = 0.0, 0
        for batch in micro_batches(self._train, rows, capacity=self._capacity, device=self._model.device):
            hidden_TD = self._model.hidden(batch.token_ids_T, row_lengths=batch.row_lengths)
            loss = sft_loss(hidden_TD, self._model.head, targets_T=batch.targets_T, is_target_T=batch.is_target_T)
            (loss.sum / targets).backward()  # type: ignore[no-untyped-call]
            loss_sum += loss.sum.item()
            num_correct += loss.num_correct
            self._refuse_unless_finite(loss_sum)
            self._events.alive()
        # the norm of all gradients is finite only if each of them is
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._run.max_grad_norm))
        self._refuse_unless_finite(grad_norm)
        rate = self._learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        tokens = sum(self._train.length(row) for row in rows)
        seconds = time.monotonic() - started
        self._advance(tokens=tokens, targets=targets, seconds=seconds)
        self._report_step(
            {
                "train_loss": loss_sum / targets,
                "train_mean_token_accuracy": num_correct / targets,
                "learning_rate": rate,
                "grad_norm": grad_norm,
                "tokens_per_second": round(tokens / seconds, 1),
            }
        )

    def _measure(self) -> Measured:
        """Loss and accuracy on all held-out rows. With the adapter's first (zero) weights this measures the base."""
        started = time.monotonic()
        self._model.set_dropout(is_on=False)
        rows = range(self._heldout.num_rows)
        loss_sum, num_correct, targets = 0.0, 0, 0
        with torch.no_grad():
            for batch in micro_batches(self._heldout, rows, capacity=self._capacity, device=self._model.device):
                self._events.alive()
                if self._stop_requested():
                    if self._position.step > 0:
                        self._save()  # as it was before this measurement, which will be made anew
                    raise Interrupted
                hidden_TD = self._model.hidden(batch.token_ids_T, row_lengths=batch.row_lengths)
                loss = sft_loss(hidden_TD, self._model.head, targets_T=batch.targets_T, is_target_T=batch.is_target_T)
                loss_sum += loss.sum.item()
                num_correct += loss.num_correct
                targets += loss.num_targets
        self._refuse_unless_finite(loss_sum)
        self._evaluation_s = time.monotonic() - started
        self._position.billable_s += self._evaluation_s
        self._position.measured_step = self._position.step
        return Measured(loss=loss_sum / targets, accuracy=num_correct / targets)

    def _keep_if_best(self) -> None:
        self._events.stage("evaluating")
        position, measured = self._position, self._measure()
        if position.best_loss is None or measured.loss < position.best_loss:
            position.best_step = position.step
            position.best_loss, position.best_accuracy = measured.loss, measured.accuracy
            self._best = self._model.adapter_tensors()
        name = "full_valid_loss" if self._is_last() else "valid_loss"
        self._report_measured({name: measured.loss, "valid_mean_token_accuracy": measured.accuracy})
        if not self._is_last():
            self._events.stage("training")

    def _refuse_unless_finite(self, value: float) -> None:
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"The loss stopped being a number at step {self._position.step + 1}. "
                "A smaller learning rate usually helps."
            )

    def _advance(self, *, tokens: int, targets: int, seconds: float) -> None:
        position = self._position
        position.step += 1
        position.seen_tokens += tokens
        position.trained_tokens += targets
        position.training_s += seconds
        position.billable_s += seconds
        self._tokens_left -= tokens

    def _report_step(self, data: dict[str, float | int]) -> None:
        position, total_steps = self._position, len(self._batches)
        self._report_progress()
        self._events.metrics(
            step=position.step,
            total_steps=total_steps,
            data={"step": position.step, "total_steps": total_steps, **data},
        )

    def _report_measured(self, data: dict[str, float | int]) -> None:
        step = self._position.step
        self._report_progress()
        self._events.metrics(step=step, total_steps=len(self._batches), data={"step": step, **data})

    def _report_progress(self) -> None:
        position = self._position
        seconds_left = self._evaluation_s
        if position.seen_tokens:
            seconds_left += self._tokens_left * position.training_s / position.seen_tokens
        self._events.progress(
            step=position.step,
            total_steps=len(self._batches),
            seconds_left=seconds_left,
            billable_s=round(position.billable_s, 3),
        )

    def _resume(self) -> None:
        found = recovery.recover(
            self._checkpoints, belongs_to=self._belongs_to, events=self._events, load=checkpoint.load
        )
        if found is None:
            return
        kept, state = found
        self._position, self._best = state.position, state.section("best")
        self._model.load_trainable(state.section("adapter"))
        checkpoint.restore_optimizer(self._optimizer, self._parameters, state.section("optimizer"))
        self._tokens_left -= self._position.seen_tokens
        self._saved_step = kept.step
        self._events.message(recovery.continuing(kept, total_steps=len(self._batches)), data={"step": kept.step})
        self._report_progress()

    def _save(self) -> None:
        """Nothing is written if this step's state lies there already: one step has one checkpoint."""
        self._saved_at = time.monotonic()
        if self._position.step == self._saved_step:
            return
        written = checkpoint.save(
            self._checkpoints,
            position=self._position,
            belongs_to=self._belongs_to,
            sections={
                "adapter": self._parameters,
                "best": self._best,
                "optimizer": checkpoint.optimizer_tensors(self._optimizer, self._parameters),
            },
        )
        self._saved_step, self._saved_at = written.step, time.monotonic()
        self._events.checkpoint(step=written.step, name=written.name, digest=written.digest)

    def _results(self) -> dict[str, Any]:
        position = self._position
        return {
            "steps": position.step,
            "best_step": position.best_step,
            "seen_tokens": position.seen_tokens,
            "trained_tokens": position.trained_tokens,
            "seconds": round(position.training_s, 2),
            "billable_s": round(position.billable_s, 3),
            "tokens_per_second": round(position.seen_tokens / position.training_s, 1),
            "base_heldout_loss": position.base_loss,
            "base_heldout_accuracy": position.base_accuracy,
            "tuned_heldout_loss": position.best_loss,
            "tuned_heldout_accuracy": position.best_accuracy,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
