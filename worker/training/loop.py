"""The training loop. Top to bottom: measure the base, step through the planned batches, measure again, keep the best.

It knows nothing of methods (a `TunableModel` comes prepared), of objectives (a micro-batch has a loss that adds up), of
other processes (which share each step), or of files other than checkpoints.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core.training.spec import RunInput
from worker.training import checkpoint, memory, optimizers, parity, recovery, row_losses
from worker.training.batches import assemble
from worker.training.checkpoint import Position
from worker.training.data.token_index import TokenIndex
from worker.training.events import EventWriter
from worker.training.failures import Interrupted, NonFiniteLoss
from worker.training.methods.model import TunableModel
from worker.training.objectives.objective import Objective, Totals
from worker.training.processes import Processes
from worker.training.schedule import epoch_ends, learning_rate, plan_batches

_EPOCH = "epoch-"
_STEP_SEED_STRIDE = 1_000_003  # a prime: dropout of (seed, step) does not repeat under a neighbouring seed


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned, from what, by which measure."""

    run: RunInput
    train: TokenIndex
    heldout: TokenIndex
    objective: Objective
    belongs_to: str
    """Digest of all that a checkpoint must have in common with the run that continues from it."""
    num_kept_epochs: int = 0
    """Of how many of the last epochs the adapter is kept beside the best one."""
    parity_rows: Sequence[Sequence[int]] = ()
    """What the model says to these is kept beside every state that may be shipped."""


class Loop:
    def __init__(
        self,
        task: Task,
        model: TunableModel,
        *,
        checkpoints: Path,
        micro_batch_tokens: int,
        processes: Processes,
        events: EventWriter,
        stop_requested: Callable[[], bool],
    ) -> None:
        run = task.run
        self._task, self._run, self._model, self._processes = task, run, model, processes
        self._events, self._stop_requested = events, stop_requested
        self._checkpoints = checkpoints
        self._capacity = micro_batch_tokens
        self._parameters = model.trainable()
        self._optimizer = optimizers.build(run, model, say=events.message)
        self._batches = plan_batches(task.train, run)
        self._learning_rate = learning_rate(run, total_steps=len(self._batches))
        self._tokens_left = sum(task.train.length(example) for batch in self._batches for example in batch)
        self._position = Position()
        self._best: dict[str, Tensor] = {}
        self._epoch_ends = epoch_ends(task.train, run)
        self.epochs: dict[int, dict[str, Tensor]] = {}
        """What would be shipped as it was at the ends of the last epochs, by step."""
        self.heldout_shares: list[float] = []
        """Each held-out row's share of the best loss, where the run is asked to keep them."""
        self._measured_shares: list[float] = []
        self._untold: dict[str, float | int] = {}
        """What the last step came to, until it is told together with what is measured after it."""
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
            self._keep_if_epoch_is_over()
            if self._is_last():
                break
            self._save_if_due()
            self._step()
            self._stop_if_asked()
        # what comes now (saving, publishing) may be interrupted too, and must not cost the training
        self._save()
        return self._best, self._results()

    def _is_last(self) -> bool:
        return self._position.step == len(self._batches) or self._is_stopped_early()

    def _is_stopped_early(self) -> bool:
        patience = self._run.early_stopping_patience
        return patience is not None and self._position.num_worse >= patience

    def _is_evaluation_due(self) -> bool:
        position, every = self._position, self._run.eval_every_steps
        is_planned = self._is_last() or (every is not None and position.step > 0 and position.step % every == 0)
        return is_planned and position.measured_step < position.step

    def _measure_base(self) -> None:
        self._events.stage("measuring_base")
        with self._model.reference() if self._model.keeps_base else nullcontext():
            base = self._measure()
        self._position.base_loss, self._position.base_accuracy = base["loss"], base["accuracy"]
        self._report_measured(base, is_full=True)

    def _stop_if_asked(self) -> None:
        if self._processes.any(self._stop_requested()):
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
        examples = self._batches[step]
        # each process draws its own dropout, and the same one when the step is done again
        torch.manual_seed((self._run.seed * _STEP_SEED_STRIDE + step) * self._processes.num + self._processes.rank)
        self._model.set_dropout(is_on=True)
        totals = Totals.of(self._task.train, examples)
        shares = self._forward(self._task.train, examples, totals, learns=True)
        self._refuse_unless_finite(shares["loss"])
        self._processes.sum_gradients(self._parameters.values())
        # the norm of all gradients is finite only if each of them is
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._run.max_grad_norm))
        self._refuse_unless_finite(grad_norm)
        rate = self._learning_rate(step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["rate_scale"]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        tokens = sum(self._task.train.length(example) for example in examples)
        seconds = time.monotonic() - started
        self._advance(tokens=tokens, targets=totals.num_targets, seconds=seconds)
        self._untold = {
            "train_loss": shares.pop("loss"),
            "train_mean_token_accuracy": shares.pop("accuracy"),
            "learning_rate": rate,
            "grad_norm": grad_norm,
            "tokens_per_second": round(tokens / seconds, 1),
        } | shares
        self._report_progress()
        if not self._is_evaluation_due():
            self._tell_step()

    def _forward(
        self,
        index: TokenIndex,
        examples: Sequence[int],
        totals: Totals,
        *,
        learns: bool,
        by_row: list[float] | None = None,
    ) -> dict[str, float]:
        """The objective's shares added up over the micro-batches of all processes; with `learns` the gradients too.

        With `by_row` each example is computed alone, and what this process finds of the loss is added there.
        """
        sums: dict[str, Tensor | float] = {}
        lengths = [index.length(example) for example in examples]
        capacity = self._capacity if by_row is None else row_losses.ONE_EACH
        for share in self._processes.shares(lengths, capacity=capacity):
            if not learns:
                self._leave_measurement_if_asked()
            batch = assemble(index, [examples[place] for place in share.places], device=self._model.device)
            micro = self._task.objective.micro_loss(self._model, batch, totals)
            if learns:
                (micro.loss * share.counts).backward()  # type: ignore[no-untyped-call]
            for name, value in micro.shares.items():
                # one transfer at the end: reading a value here would make a card wait for it
                sums[name] = sums.get(name, 0.0) + value.double() * share.counts
            if by_row is not None:
                by_row[share.places[0]] += float(micro.shares["loss"]) * share.counts
            self._events.alive()
        return self._processes.sum_values({name: float(value) for name, value in sums.items()})

    def _measure(self) -> dict[str, float]:
        """The objective's values over all held-out examples."""
        started = time.monotonic()
        self._model.set_dropout(is_on=False)
        heldout = self._task.heldout
        examples = range(heldout.num_examples)
        with torch.no_grad():
            by_row = [0.0] * len(examples) if self._run.keep_heldout_losses else None
            measured = self._forward(heldout, examples, Totals.of(heldout, examples), learns=False, by_row=by_row)
        self._refuse_unless_finite(measured["loss"])
        if by_row is not None:
            summed = self._processes.sum_values({str(row): value for row, value in enumerate(by_row)})
            self._measured_shares = [summed[str(row)] for row in examples]
        self._evaluation_s = time.monotonic() - started
        self._position.billable_s += self._evaluation_s
        self._position.measured_step = self._position.step
        return measured

    def _leave_measurement_if_asked(self) -> None:
        if self._processes.any(self._stop_requested()):
            self._tell_step()
            if self._position.step > 0:
                self._save()  # as it was before this measurement, which will be made anew
            raise Interrupted

    def _keep_if_best(self) -> None:
        self._events.stage("evaluating")
        position, measured = self._position, self._measure()
        if position.best_loss is None or measured["loss"] < position.best_loss:
            position.best_step, position.num_worse = position.step, 0
            position.best_loss, position.best_accuracy = measured["loss"], measured["accuracy"]
            self._best = self._shippable()
            self.heldout_shares = self._measured_shares
        else:
            position.num_worse += 1
        self._report_measured(measured, is_full=self._is_last())
        if self._is_last():
            self._say_how_it_ended()
        else:
            self._events.stage("training")

    def _keep_if_epoch_is_over(self) -> None:
        step, num_kept = self._position.step, self._task.num_kept_epochs
        if num_kept and step in self._epoch_ends and step not in self.epochs:
            self.epochs[step] = self._shippable()
            for old in sorted(self.epochs)[:-num_kept]:
                del self.epochs[old]

    def _shippable(self) -> dict[str, Tensor]:
        """A copy of the adapter as it is, and of what it answers."""
        return self._model.adapter_tensors() | parity.answered(self._model, self._task.parity_rows)

    def _say_how_it_ended(self) -> None:
        position = self._position
        if position.step < len(self._batches):
            self._events.message(
                f"Stopped at step {position.step} of {len(self._batches)}: the examples kept back were not answered "
                f"better than after step {position.best_step}. That state is kept, and the other steps cost nothing.",
                data={"best_step": position.best_step, "step": position.step},
            )
        best_loss, base_loss = position.best_loss, position.base_loss
        if best_loss is not None and base_loss is not None and best_loss >= base_loss:
            self._events.message(
                "The examples kept back are answered no better than by the base model. More examples like them, or a "
                "smaller learning rate, usually help.",
                level="warn",
                data={"base_heldout_loss": base_loss, "tuned_heldout_loss": best_loss},
            )

    def _refuse_unless_finite(self, value: float) -> None:
        if math.isfinite(value):
            return
        self._tell_step()
        if self._position.measured_step < 0:
            raise NonFiniteLoss(
                "The base model's answers to the held-out examples are no numbers, before anything was learned. "
                "Choose another base model."
            )
        raise NonFiniteLoss(
            f"The loss stopped being a number at step {self._position.step + 1}. A smaller learning rate usually helps."
        )

    def _advance(self, *, tokens: int, targets: int, seconds: float) -> None:
        position = self._position
        position.step += 1
        position.seen_tokens += tokens
        position.trained_tokens += targets
        position.training_s += seconds
        position.billable_s += seconds
        self._tokens_left -= tokens

    def _report_measured(self, measured: dict[str, float], *, is_full: bool) -> None:
        """`is_full` is for the base and the end; every row that is kept back is measured in between, too."""
        others = dict(measured)
        loss, accuracy = others.pop("loss"), others.pop("accuracy")
        data = {"valid_mean_token_accuracy": accuracy} | {f"valid_{name}": value for name, value in others.items()}
        if self._position.step > 0:
            data = {"valid_loss": loss} | data
        if is_full:
            data |= {"full_valid_loss": loss, "full_valid_mean_token_accuracy": accuracy}
        self._report_progress()
        self._tell_step(data)

    def _tell_step(self, measured: Mapping[str, float] | None = None) -> None:
        """One event a step: what it came to and, if the held-out rows were measured after it, what they came to."""
        data, self._untold = {**self._untold, **(measured or {})}, {}
        if data:
            step, total_steps = self._position.step, len(self._batches)
            about = {"step": step, "total_steps": total_steps}
            self._events.metrics(step=step, total_steps=total_steps, data=about | data)

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
        with self._processes.in_turn():  # what cannot be used is removed
            found = recovery.recover(
                self._checkpoints, belongs_to=self._task.belongs_to, events=self._events, load=checkpoint.load
            )
        step = -1 if found is None else found[0].step
        if self._processes.highest(step) != step:
            raise RuntimeError("the processes of this run have found different checkpoints")
        if found is None:
            return
        kept, state = found
        self._position, self._best = state.position, state.section("best")
        self.epochs = {
            int(name.removeprefix(_EPOCH)): state.section(name) for name in state.sections() if name.startswith(_EPOCH)
        }
        self._model.load_trainable(state.section("adapter"))
        optimizers.restore(self._optimizer, self._parameters, state.section("optimizer"))
        self._tokens_left -= self._position.seen_tokens
        self._saved_step = kept.step
        self._events.message(recovery.continuing(kept, total_steps=len(self._batches)), data={"step": kept.step})
        self._report_progress()

    def _save(self) -> None:
        """Nothing is written if this step's state lies there already: one step has one checkpoint.

        The first process writes, by its own clock; the others have the same state, and go on.
        """
        self._saved_at = time.monotonic()
        if self._position.step == self._saved_step or not self._processes.is_first:
            return
        written = checkpoint.save(
            self._checkpoints,
            position=self._position,
            belongs_to=self._task.belongs_to,
            sections={
                "adapter": {**self._parameters, **self._model.start()},
                "best": self._best,
                "optimizer": optimizers.state_tensors(self._optimizer, self._parameters),
                **{f"{_EPOCH}{step}": tensors for step, tensors in self.epochs.items()},
            },
        )
        self._saved_step, self._saved_at = written.step, time.monotonic()
        self._events.checkpoint(step=written.step, name=written.name, digest=written.digest)

    def _results(self) -> dict[str, Any]:
        position = self._position
        return {
            "steps": position.step,
            "planned_steps": len(self._batches),
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
            "num_processes": self._processes.num,
            "peak_memory_bytes": self._processes.highest(memory.peak_bytes(self._model.device)),
        }
