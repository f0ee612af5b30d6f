"""Runs of every kind of row from their folder to an adapter: exact however they are split, packed or stopped."""

from collections.abc import Callable, Sequence
from math import log
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.datasets.types import RowKind
from core.kit.hashing import sha256_file
from core.training.methods import LoraMethod
from core.training.objectives import (
    ContinuedPretrainingObjective,
    DpoObjective,
    Objective,
    OrpoObjective,
    SftObjective,
    row_kind_of,
)
from tests.worker.training.conftest import events_of, execute, write_rows
from tests.worker.training.objectives.conftest import ROWS, metrics_of
from worker.training import checkpoint, snapshot
from worker.training.batches import assemble
from worker.training.data import token_index
from worker.training.data.token_index import TokenIndex
from worker.training.failures import Interrupted
from worker.training.methods import registry as methods
from worker.training.methods.model import Machine, TunableModel
from worker.training.objectives import registry as objectives
from worker.training.objectives.objective import MicroLoss, Totals
from worker.training.objectives.target_scores import sum_by_sequence, target_log_probs

MakeRun = Callable[..., Path]

OBJECTIVES: list[Objective] = [
    SftObjective(),
    DpoObjective(label_smoothing=0.1),
    OrpoObjective(),
    ContinuedPretrainingObjective(),
]
each_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.type)
each_pair_objective = pytest.mark.parametrize("objective", OBJECTIVES[1:3], ids=lambda one: one.type)
DROPPING = LoraMethod(rank=4, alpha=8, dropout=0.1)


@each_objective
def test_a_stopped_and_continued_run_ends_in_the_same_bits(make_run_of: MakeRun, objective: Objective) -> None:
    choices = {"method": DROPPING, "eval_every_steps": 3, "micro_batch_divisor": 64}  # every example by itself
    whole, stopped = (make_run_of(objective, name, **choices) for name in ("whole", "stopped"))
    expected = execute(whole)
    # looks at the flag: after tokenizing, after loading, at each of six held-out examples, then once a step
    with pytest.raises(Interrupted):
        execute(stopped, stop_at_check=2 + 6 + 2)
    found = execute(stopped)
    assert events_of(stopped, "message")[-1]["message"].startswith("Continuing after step 2")
    assert sha256_file(whole / "adapter" / "adapter_model.safetensors") == sha256_file(
        stopped / "adapter" / "adapter_model.safetensors"
    )
    assert found["tuned_heldout_loss"] == expected["tuned_heldout_loss"]
    assert metrics_of(stopped, "train_loss") == metrics_of(whole, "train_loss")


@each_objective
def test_how_a_step_is_split_does_not_change_what_is_learned(make_run_of: MakeRun, objective: Objective) -> None:
    whole, split = make_run_of(objective, "whole"), make_run_of(objective, "split", micro_batch_divisor=64)
    expected, found = execute(whole), execute(split)
    for name in ("steps", "seen_tokens", "trained_tokens"):
        assert found[name] == expected[name]
    assert found["base_heldout_accuracy"] == pytest.approx(expected["base_heldout_accuracy"])
    assert metrics_of(split, "train_loss") == pytest.approx(metrics_of(whole, "train_loss"), rel=1e-4)
    assert metrics_of(split, "grad_norm")[0] == pytest.approx(metrics_of(whole, "grad_norm")[0], rel=1e-4)
    assert found["tuned_heldout_loss"] == pytest.approx(expected["tuned_heldout_loss"], rel=1e-4)


@each_pair_objective
def test_a_run_over_pairs_learns_to_prefer(make_run_of: MakeRun, objective: Objective) -> None:
    folder = make_run_of(objective, num_epochs=4)
    result = execute(folder)
    assert result["tuned_heldout_loss"] < result["base_heldout_loss"]
    assert result["tuned_heldout_accuracy"] > max(0.5, result["base_heldout_accuracy"])
    if isinstance(objective, DpoObjective):
        assert result["base_heldout_loss"] == pytest.approx(log(2))
        assert result["base_heldout_accuracy"] == 0.5
    names = {"reward_margin", "chosen_reward", "rejected_reward"}
    for name in names:
        assert len(metrics_of(folder, name)) == result["steps"]
        assert len(metrics_of(folder, f"valid_{name}")) == 2  # of the base, and at the end
    assert metrics_of(folder, "valid_reward_margin")[-1] > metrics_of(folder, "valid_reward_margin")[0]


def test_a_long_text_is_learned_in_pieces_and_loses_nothing(make_run_of: MakeRun) -> None:
    folder = make_run_of(ContinuedPretrainingObjective(), max_length_tokens=16, num_epochs=1)
    words = " ".join(["alpha", "beta", "gamma"] * 30)
    write_rows(folder / "train.jsonl", [{"number": 0, "text": words}])
    result = execute(folder)
    index = _index(folder, "train")
    assert index.num_examples > 5
    assert result["seen_tokens"] == len(index.token_ids)
    assert result["trained_tokens"] == len(index.token_ids) - index.num_examples
    assert not events_of(folder, "message")  # nothing was cut


@pytest.mark.parametrize("objective", [SftObjective(), DpoObjective()], ids=lambda one: one.type)
def test_a_run_that_gets_worse_ends_early_and_ships_its_best(make_run_of: MakeRun, objective: Objective) -> None:
    choices = {"learning_rate": 0.03, "schedule": "constant", "num_epochs": 10, "eval_every_steps": 1}
    folder = make_run_of(objective, early_stopping_patience=1, checkpoint_every_steps=1, **choices)
    result = execute(folder)
    steps, best = result["steps"], result["best_step"]
    assert (result["planned_steps"], best) == (40, steps - 1)
    assert 1 <= best < 38
    [said] = events_of(folder, "message")
    assert said["data"] == {"best_step": best, "step": steps}
    assert said["message"].startswith(f"Stopped at step {steps} of 40:")

    measured = metrics_of(folder, "valid_loss")
    assert len(measured) == steps
    assert result["tuned_heldout_loss"] == min(measured) == measured[best - 1]
    shipped = load_file(folder / "adapter" / "adapter_model.safetensors")
    kept = checkpoint.load(snapshot.read(folder / "checkpoints" / f"step-{best:08}")).section("adapter")
    assert all(torch.equal(shipped[name.replace(".default", "")], weight) for name, weight in kept.items())

    # steps that were not done are neither counted nor billed
    assert len(metrics_of(folder, "train_loss")) == steps
    index = _index(folder, "train")
    assert result["seen_tokens"] < 10 * len(index.token_ids)
    assert result["billable_s"] == events_of(folder, "progress")[-1]["billable_s"]
    again = execute(folder)
    assert again == result | {"peak_memory_bytes": again["peak_memory_bytes"]}


def test_patience_begins_anew_with_every_better_measurement(make_run_of: MakeRun) -> None:
    # so long and at such a rate that it gets worse again in any rounding
    choices = {"learning_rate": 0.03, "schedule": "constant", "num_epochs": 40, "eval_every_steps": 1}
    folder = make_run_of(SftObjective(), early_stopping_patience=3, **choices)
    result = execute(folder)
    measured = metrics_of(folder, "valid_loss")
    num_worse, lowest = 0, float("inf")
    for loss in measured[:-1]:
        num_worse, lowest = (0, loss) if loss < lowest else (num_worse + 1, lowest)
        assert num_worse < 3
    assert result["steps"] == result["best_step"] + 3 < 160


def _index(folder: Path, name: str) -> TokenIndex:
    """As the run made it: it lies there and is only mapped."""
    nothing = folder / "nothing.jsonl"
    return token_index.build(
        nothing, folder / "index" / name, kind=RowKind.CHAT, model_dir=folder, max_length=1, max_rows=0
    )


class TestOnALlama:
    """Gradients and log-probabilities themselves, of an adapter with no zeros in it."""

    @pytest.fixture
    def model(self, base_model_dir: Path) -> TunableModel:
        torch.manual_seed(0)
        model = methods.prepare(LoraMethod(rank=4, alpha=8), base_model_dir, machine=Machine("cpu", torch.float32))
        with torch.no_grad():
            for weight in model.trainable().values():
                weight.normal_(std=0.05)
        return model

    @pytest.fixture
    def make_index(self, tmp_path: Path, base_model_dir: Path) -> Callable[[Objective], TokenIndex]:
        def make(objective: Objective) -> TokenIndex:
            kind = row_kind_of(objective)
            write_rows(tmp_path / "rows.jsonl", [ROWS[kind](number) for number in range(4)])
            return token_index.build(
                tmp_path / "rows.jsonl", tmp_path / kind, kind=kind, model_dir=base_model_dir, max_length=64
            )

        return make

    def loss_of(
        self, model: TunableModel, objective: Objective, index: TokenIndex, split: Sequence[Sequence[int]]
    ) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
        """Shares and gradients of a step whose micro-batches hold these examples."""
        totals = Totals.of(index, [example for part in split for example in part])
        loss = objectives.build(objective)
        parts: list[MicroLoss] = []
        for part in split:
            parts.append(loss.micro_loss(model, assemble(index, part, device="cpu"), totals))
            parts[-1].loss.backward()
        gradients = {name: weight.grad.clone() for name, weight in model.trainable().items()}
        for weight in model.trainable().values():
            weight.grad = None
        return {name: sum(float(part.shares[name]) for part in parts) for name in parts[0].shares}, gradients

    @each_objective
    def test_one_micro_batch_of_four_is_four_of_one(
        self, model: TunableModel, make_index: Callable[[Objective], TokenIndex], objective: Objective
    ) -> None:
        index = make_index(objective)
        whole, whole_gradients = self.loss_of(model, objective, index, [[0, 1, 2, 3]])
        split, split_gradients = self.loss_of(model, objective, index, [[2], [0], [3], [1]])
        assert split == pytest.approx(whole, rel=1e-5, abs=1e-6)
        for name, gradient in whole_gradients.items():
            torch.testing.assert_close(split_gradients[name], gradient, rtol=1e-4, atol=1e-6)
            assert gradient.abs().max() > 0

    def test_a_sequence_of_a_pack_is_as_likely_as_alone(
        self, model: TunableModel, make_index: Callable[[Objective], TokenIndex]
    ) -> None:
        index = make_index(DpoObjective())
        batch = assemble(index, range(4), device="cpu")
        with torch.no_grad():
            packed = sum_by_sequence(target_log_probs(model, batch)[0], batch)
            alone = []
            for sequence in range(index.num_sequences):
                ids = torch.from_numpy(index.tokens(sequence).astype("int64"))
                logits = model.head(model.hidden(ids, sequence_lengths=[len(ids)]))
                weights = torch.from_numpy(index.sequence_weights(sequence).copy())[1:]
                log_probs = logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[:, 0]
                alone.append((log_probs * weights).sum())
        torch.testing.assert_close(packed, torch.stack(alone), rtol=1e-5, atol=1e-4)

    def test_dropout_is_of_the_tuned_model_only(
        self, base_model_dir: Path, make_index: Callable[[Objective], TokenIndex]
    ) -> None:
        model = methods.prepare(DROPPING, base_model_dir, machine=Machine("cpu", torch.float32))
        batch = assemble(make_index(DpoObjective()), range(4), device="cpu")
        model.set_dropout(is_on=True)
        with torch.no_grad(), model.reference():
            first, second = (target_log_probs(model, batch)[0] for _ in range(2))
        assert torch.equal(first, second)
