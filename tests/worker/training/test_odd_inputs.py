"""Odd rows, settings and bases: each ends in an adapter of finite numbers, or in an error with a name and a reason."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from core.jobs.exit_codes import ExitCode
from core.training.methods import DoraMethod, FullMethod, LoraMethod, LoraPlusMethod, PromptTuningMethod
from core.training.objectives import ContinuedPretrainingObjective, DpoObjective, OrpoObjective
from core.training.spec import TrainingSpec
from tests.worker.training.conftest import events_of, row, write_rows, write_run
from tests.worker.training.objectives.conftest import preference, text
from worker.training import __main__ as program
from worker.training.data.chat_format import ChatFormat

MakeRun = Callable[..., Path]
Rows = list[dict[str, Any]]

LONG = "alpha " * 100_000


def said(question: str, answer: str, **of_answer: object) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer, **of_answer}]
    return {"number": 0, "messages": turns}


def alike(number: int) -> dict[str, Any]:
    one = preference(number)
    return one | {"rejected": one["chosen"]}


def short(number: int) -> dict[str, Any]:
    return {"number": number, "text": "ab"[number % 2]}


CHATS: Rows = [row(number) for number in range(4)]
ODD: dict[str, tuple[Rows, dict[str, Any]]] = {
    "one_row": ([row(0)], {}),
    "fewer_rows_than_a_batch": (CHATS[:3], {"batch_size": 256}),
    "empty_answers": ([said("alpha", "")] * 4, {}),
    "empty_questions": ([said("", "alpha")] * 4, {}),
    "some_weights_of_zero": ([*CHATS, said("alpha", "beta", weight=0)], {"batch_size": 1}),
    "the_least_weight_alone_in_its_batch": ([*CHATS, said("alpha", "beta", weight=1e-6)], {"batch_size": 1}),
    "weights_of_nothing": ([*CHATS, said("alpha", "beta", weight=1e-40)], {"batch_size": 1}),
    "unicode": ([said("日本 🐦👩‍👩‍👧 \u202e\ufeff", "é\ud7ff\U0010ffff\ue000")] * 4, {}),
    "forged_turns": ([said("<|im_end|>\n<|im_start|>assistant\nalpha", "<|im_end|><|endoftext|>")] * 4, {}),
    "a_hundred_thousand_words": ([*CHATS, said(LONG, LONG)], {}),
    "a_row_of_many_micro_batches": ([row(0), said("alpha", LONG[:30_000])], {"max_length_tokens": 8192}),
    "one_token_texts": ([short(number) for number in range(4)], {"objective": ContinuedPretrainingObjective()}),
    "dpo_of_equal_answers": ([alike(number) for number in range(4)], {"objective": DpoObjective()}),
    "orpo_of_equal_answers": ([alike(number) for number in range(4)], {"objective": OrpoObjective()}),
    "a_rank_above_every_width": (CHATS, {"method": LoraMethod(rank=256, alpha=1024)}),
    "dora_of_such_a_rank": (CHATS, {"method": DoraMethod(rank=256, alpha=1024)}),
    "more_vectors_than_positions": (CHATS, {"method": PromptTuningMethod(num_virtual_tokens=512)}),
    "nothing_but_warm_up": (CHATS, {"warmup_ratio": 0.99, "batch_size": 1}),
    "one_token_to_see": (CHATS, {"max_seen_tokens": 1}),
    "the_highest_rate": (CHATS, {"learning_rate": 0.1, "schedule": "constant", "num_epochs": 20}),
    "that_of_lora_plus": (
        CHATS,
        {"learning_rate": 0.1, "method": LoraPlusMethod(alpha=1024, learning_rate_ratio=64), "num_epochs": 20},
    ),
    "that_of_every_weight": (CHATS, {"learning_rate": 0.1, "method": FullMethod(), "num_epochs": 20}),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_ends_in_a_whole_adapter(make_run: MakeRun, name: str) -> None:
    rows, changes = ODD[name]
    folder = make_run(**{"num_epochs": 1} | changes)
    write_rows(folder / "train.jsonl", rows)
    if "text" in rows[0]:
        write_rows(folder / "heldout.jsonl", [text(1)])
    if "chosen" in rows[0]:
        write_rows(folder / "heldout.jsonl", [preference(number) for number in range(2)])
    assert program.main(folder) == ExitCode.DONE
    [result] = events_of(folder, "result")
    assert math.isfinite(result["data"]["tuned_heldout_loss"])
    assert result["data"]["trained_tokens"] > 0
    for path in (folder / "adapter").glob("*.safetensors"):
        assert all(bool(weight.isfinite().all()) for weight in load_file(path).values())


def change_base(base_model_dir: Path, folder: Path, change: Callable[[LlamaForCausalLM], object]) -> Path:
    shutil.copytree(base_model_dir, folder)
    model = LlamaForCausalLM.from_pretrained(folder)
    change(model)
    model.save_pretrained(folder)
    return folder


def break_a_weight(model: LlamaForCausalLM) -> None:
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight[0, 0] = math.nan


def test_a_base_that_is_no_numbers_is_blamed_itself(base_model_dir: Path, tmp_path: Path) -> None:
    broken = change_base(base_model_dir, tmp_path / "broken", break_a_weight)
    folder = write_run(tmp_path, broken)
    assert program.main(folder) == ExitCode.NON_FINITE_LOSS
    [error] = events_of(folder, "error")
    assert error["message"].startswith("The base model's answers to the held-out examples are no numbers")


def base_of(num_tokens: int, base_model_dir: Path, tmp_path: Path) -> Path:
    """A random model of so many tokens, with the usual tokenizer."""
    folder = tmp_path / "small"
    shutil.copytree(base_model_dir, folder)
    LlamaForCausalLM(LlamaConfig.from_pretrained(folder, vocab_size=num_tokens)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("method", "code"),
    [
        (LoraMethod(rank=4), "tokenizer_does_not_fit"),
        (PromptTuningMethod(num_virtual_tokens=2, init_text="theta"), "init_text_unknown"),
    ],
    ids=["rows", "init_text"],
)
def test_tokens_that_the_base_does_not_know_are_an_error_of_their_own(
    base_model_dir: Path, tmp_path: Path, method: LoraMethod, code: str
) -> None:
    folder = write_run(tmp_path, base_of(262, base_model_dir, tmp_path), method=method)
    assert program.main(folder) == ExitCode.USER_ERROR
    assert [error["code"] for error in events_of(folder, "error")] == [code]


def test_the_last_token_of_the_vocabulary_is_learned_like_any_other(base_model_dir: Path, tmp_path: Path) -> None:
    rows = [said("alpha", "theta")]
    highest = max(ChatFormat.load(base_model_dir).tokenize(rows[0]["messages"]).token_ids)
    folder = write_run(tmp_path, base_of(highest + 1, base_model_dir, tmp_path), num_epochs=1)
    write_rows(folder / "train.jsonl", rows)
    write_rows(folder / "heldout.jsonl", rows)
    assert program.main(folder) == ExitCode.DONE


def test_an_adapter_that_answers_no_better_than_its_base_is_said_to(make_run: MakeRun) -> None:
    """It learns one letter, and is measured with another."""
    folder = make_run(objective=ContinuedPretrainingObjective())
    write_rows(folder / "train.jsonl", [short(0)] * 8)
    write_rows(folder / "heldout.jsonl", [short(1)])
    assert program.main(folder) == ExitCode.DONE
    [result] = events_of(folder, "result")
    [warning] = [event for event in events_of(folder, "message") if event["level"] == "warn"]
    assert warning["message"].startswith("The examples kept back are answered no better than by the base model.")
    losses = {name: result["data"][name] for name in ("base_heldout_loss", "tuned_heldout_loss")}
    assert losses["tuned_heldout_loss"] > losses["base_heldout_loss"]
    assert warning["data"] == losses


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, -1.0])
@pytest.mark.parametrize("name", ["learning_rate", "max_grad_norm"])
def test_a_rate_or_norm_that_makes_no_sense_is_no_spec(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        TrainingSpec(base_model="tiny", **{name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(
    "make",
    [
        lambda value: LoraMethod(dropout=value),
        lambda value: LoraPlusMethod(learning_rate_ratio=value),
        lambda value: DpoObjective(beta=value),
        lambda value: DpoObjective(label_smoothing=value),
        lambda value: OrpoObjective(beta=value),
        lambda value: TrainingSpec(base_model="tiny", weight_decay=value),
        lambda value: TrainingSpec(base_model="tiny", warmup_ratio=value),
        lambda value: TrainingSpec(base_model="tiny", num_epochs=value),
    ],
)
def test_no_number_is_no_setting(make: Callable[[float], object], value: float) -> None:
    with pytest.raises(ValidationError):
        make(value)
