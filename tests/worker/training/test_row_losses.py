"""Trainings whose held-out rows are told one by one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from core.training.objectives import DpoObjective
from tests.worker.training.conftest import WORDS, execute, row, write_rows

MakeRun = Callable[..., Path]


def test_the_losses_of_the_rows_make_the_loss_of_all_and_change_nothing_that_is_learned(make_run: MakeRun) -> None:
    usual, told = make_run("usual", eval_every_steps=4), make_run("told", eval_every_steps=4, keep_heldout_losses=True)
    for folder in (usual, told):
        # long and short answers, so that a mean over rows is another than one over tokens
        write_rows(
            folder / "heldout.jsonl", [row(number, answer="alpha " * (1 + 4 * (number % 3))) for number in range(6)]
        )
    expected, result = execute(usual), execute(told)
    kept = json.loads((told / "heldout_losses.json").read_text())
    losses, weights = kept["losses"], kept["weights"]
    assert len(losses) == 6
    assert len(set(losses)) > 3
    mean = sum(loss * weight for loss, weight in zip(losses, weights, strict=True)) / sum(weights)
    assert mean == pytest.approx(result["tuned_heldout_loss"], rel=1e-6)
    assert mean != pytest.approx(sum(losses) / 6, rel=1e-3)
    assert result["tuned_heldout_loss"] == pytest.approx(expected["tuned_heldout_loss"], rel=1e-5)
    names = ("adapter_model.safetensors",)
    assert [(usual / "adapter" / name).read_bytes() for name in names] == [
        (told / "adapter" / name).read_bytes() for name in names
    ]
    assert not (usual / "heldout_losses.json").exists()


def test_a_pair_counts_once(make_run: MakeRun) -> None:
    folder = make_run(objective=DpoObjective(), keep_heldout_losses=True, num_epochs=1)
    for name, numbers in (("train", range(12)), ("heldout", range(12, 16))):
        rows = [
            {"number": number, "messages": row(number)["messages"][:1]}
            | {
                side: [{"role": "assistant", "content": WORDS[(number + shift) % 8]}]
                for side, shift in (("chosen", 1), ("rejected", 3))
            }
            for number in numbers
        ]
        write_rows(folder / f"{name}.jsonl", rows)
    result = execute(folder)
    kept = json.loads((folder / "heldout_losses.json").read_text())
    assert kept["weights"] == [1.0] * 4
    assert sum(kept["losses"]) / 4 == pytest.approx(result["tuned_heldout_loss"], rel=1e-6)
