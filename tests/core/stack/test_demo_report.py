import json
from pathlib import Path
from typing import Any

import pytest

from core.stack import demo_report
from core.stack.demo_report import Answer, Outcome, Progress

JOB: dict[str, Any] = {
    "id": "ftjob-1",
    "object": "fine_tuning.job",
    "status": "succeeded",
    "model": "smollm2-135m-instruct",
    "fine_tuned_model": "ft:smollm2-135m-instruct:home:demo:abcdefgh",
    "recipe": "fast",
    "adapter": {"type": "qlora", "rank": 8},
    "hyperparameters": {"n_epochs": 1},
    "trained_tokens": 1000,
    "seed": 7,
    "seconds": 61.5,
    "cost_usd": 0.001,
    "base_heldout_loss": 3.21,
    "tuned_heldout_loss": 0.42,
}


@pytest.fixture
def outcome() -> Outcome:
    return Outcome(JOB, [Answer("Good shoes [really]", "positive", "I like " + "x" * 500, "positive")], 90.04)


def test_the_figures_are_kept_with_what_made_them(tmp_path: Path, outcome: Outcome) -> None:
    target = tmp_path / "results" / "demo.json"
    demo_report.write(target, outcome)
    kept = json.loads(target.read_text())
    assert kept["figures"] == {
        "base_heldout_loss": 3.21,
        "tuned_heldout_loss": 0.42,
        "seconds_total": 90.0,
        "seconds_training": 61.5,
        "cost_usd": 0.001,
    }
    assert {"date", "commit", "machine", "versions", "runs"} < kept.keys()
    assert kept["runs"][0]["answers"][0]["tuned"] == "positive"


def test_both_losses_and_both_answers_are_shown(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    demo_report.show(outcome)
    shown = capsys.readouterr().out
    assert "base 3.210, tuned 0.420" in shown
    assert "[really]" in shown
    assert "62 s of training, 90 s in all" in shown
    assert "$0.0010" in shown


def test_without_a_terminal_each_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    running = JOB | {
        "status": "running",
        "stage": "training",
        "progress": {"step": 5, "total_steps": 20, "fraction": 0.25, "seconds_left": 30.0},
    }
    with Progress("Training") as progress:
        progress.show({"status": "queued"}, None)
        progress.show(running, 1.5)
        progress.show(running, 1.4)
        progress.show(JOB, None)
    assert capsys.readouterr().out.splitlines() == [
        "Training:   0%  queued",
        "Training:  25%  training, step 5/20, loss 1.500, 30 s left",
        "Training: 100%  succeeded",
    ]
