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
from worker.training import checkpoint
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

    def run(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Trains to the end. Returns the best adapter's tensors and the results.

        Raises Interrupted with a checkpoint saved, or NonFiniteLoss with the weights still those of the step before.
        """
        self._resume()
        if self._position.base_loss is None:
            self._events.stage("measuring_base")
            base = self._measure()
            self._position.base_loss, self._position.base_accuracy = base.loss, base.accuracy
            self._events.metrics(
                step=0,
                total_steps=len(self._batches),
                data={"step": 0, "full_valid_loss": base.loss, "valid_mean_token_accuracy": base.accuracy},
            )
        self._events.stage("training")
        while self._position.step < len(self._batches):
            self._step()
            is_last = self._position.step == len(self._batches)
            every = self._run.eval_every_steps
            if is_last or (every is not None and self._position.step % every == 0):
                self._keep_if_best(is_last=is_last)
            if self._stop_requested() and not is_last:
                self._save()
                raise Interrupted
            if time.monotonic() - self._saved_at >= self._run.checkpoint_every_s:
                self._save()
        return self._best, self._results()

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
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._run.max_grad_norm))
        if not (math.isfinite(loss_sum) and math.isfinite(grad_norm)):
            raise NonFiniteLoss(
                f"The loss stopped being a number at step {step + 1}. A smaller learning rate usually helps."
            )
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
                if self._position.step == 0 and self._stop_requested():
                    raise Interrupted  # nothing trained yet, nothing to save
                hidden_TD = self._model.hidden(batch.token_ids_T, row_lengths=batch.row_lengths)
                loss = sft_loss(hidden_TD, self._model.head, targets_T=batch.targets_T, is_target_T=batch.is_target_T)
                loss_sum += loss.sum.item()
                num_correct += loss.num_correct
                targets += loss.num_targets
        self._evaluation_s = time.monotonic() - started
        return Measured(loss=loss_sum / targets, accuracy=num_correct / targets)

    def _keep_if_best(self, *, is_last: bool) -> None:
        self._events.stage("evaluating")
        position, measured = self._position, self._measure()
        data: dict[str, float | int] = {"step": position.step, "valid_mean_token_accuracy": measured.accuracy}
        data["full_valid_loss" if is_last else "valid_loss"] = measured.loss
        self._events.metrics(step=position.step, total_steps=len(self._batches), data=data)
        if position.best_loss is None or measured.loss < position.best_loss:
            position.best_step = position.step
            position.best_loss, position.best_accuracy = measured.loss, measured.accuracy
            self._best = self._model.adapter_tensors()
        if not is_last:
            self._events.stage("training")

    def _advance(self, *, tokens: int, targets: int, seconds: float) -> None:
        position = self._position
        position.step += 1
        position.seen_tokens += tokens
        position.trained_tokens += targets
        position.training_s += seconds
        self._tokens_left -= tokens

    def _report_step(self, data: dict[str, float | int]) -> None:
        position, total_steps = self._position, len(self._batches)
        seconds_left = self._tokens_left * position.training_s / position.seen_tokens + self._evaluation_s
        self._events.progress(step=position.step, total_steps=total_steps, seconds_left=seconds_left)
        self._events.metrics(
            step=position.step,
            total_steps=total_steps,
            data={"step": position.step, "total_steps": total_steps, **data},
        )

    def _resume(self) -> None:
        found = checkpoint.newest(self._checkpoints, belongs_to=self._belongs_to)
        if found is None:
            return
        self._position, self._best = found.position, found.section("best")
        self._model.load_trainable(found.section("adapter"))
        checkpoint.restore_optimizer(self._optimizer, self._parameters, found.section("optimizer"))
        self._tokens_left -= self._position.seen_tokens
        self._events.message(f"Continuing after step {self._position.step} of {len(self._batches)}.")

    def _save(self) -> None:
        checkpoint.save(
            self._checkpoints,
            position=self._position,
            belongs_to=self._belongs_to,
            sections={
                "adapter": self._parameters,
                "best": self._best,
                "optimizer": checkpoint.optimizer_tensors(self._optimizer, self._parameters),
            },
        )
        self._saved_at = time.monotonic()

    def _results(self) -> dict[str, Any]:
        position = self._position
        return {
            "steps": position.step,
            "best_step": position.best_step,
            "seen_tokens": position.seen_tokens,
            "trained_tokens": position.trained_tokens,
            "seconds": round(position.training_s, 2),
            "tokens_per_second": round(position.seen_tokens / position.training_s, 1),
            "base_heldout_loss": position.base_loss,
            "base_heldout_accuracy": position.base_accuracy,
            "tuned_heldout_loss": position.best_loss,
            "tuned_heldout_accuracy": position.best_accuracy,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
