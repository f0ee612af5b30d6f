"""A two-layer random Llama with a real tokenizer, and run folders for it."""

import json
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from core.training.methods import LoraMethod
from core.training.spec import RunInput
from worker.training import run as runner
from worker.training.events import EventWriter

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


@pytest.fixture(scope="session")
def base_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base_model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*WORDS, "user assistant system\n"], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", bos_token="<|im_start|>")
    fast.chat_template = CHATML
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "tailorbird.json").write_text(json.dumps({"id": "tiny", "revision": "r1"}))
    return folder


def row(number: int, *, answer: str | None = None) -> dict[str, Any]:
    word, other = WORDS[number % len(WORDS)], WORDS[(3 * number + 1) % len(WORDS)]
    question = " ".join([word] * (1 + number % 5))
    return {
        "number": number,
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer or other}],
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))


def write_run(parent: Path, base_model_dir: Path, name: str = "run", **changes: object) -> Path:
    """A run folder of 24 training and 6 held-out rows; keyword arguments change the spec."""
    folder = parent / name
    folder.mkdir()
    write_rows(folder / "train.jsonl", [row(number) for number in range(24)])
    write_rows(folder / "heldout.jsonl", [row(number) for number in range(24, 30)])
    values: dict[str, Any] = {
        "base_model": "tiny",
        "method": LoraMethod(rank=4, alpha=8),
        "num_epochs": 2,
        "learning_rate": 1e-2,
        "batch_size": 6,
        "max_length_tokens": 128,
        "base_model_dir": base_model_dir,
        "num_threads": 1,
    }
    (folder / "spec.json").write_text(RunInput(**(values | changes)).model_dump_json())
    return folder


@pytest.fixture
def make_run(tmp_path: Path, base_model_dir: Path) -> Callable[..., Path]:
    return partial(write_run, tmp_path, base_model_dir)


def execute(folder: Path, *, stop_at_check: int | None = None) -> dict[str, Any]:
    """Runs to the end and returns the results, or asks to stop at the given look at the flag.

    It looks after tokenizing, after loading, at each micro-batch of held-out rows, and once a step.
    """
    checks = 0

    def stop_requested() -> bool:
        nonlocal checks
        checks += 1
        return checks == stop_at_check

    with closing(EventWriter(folder / "events.jsonl")) as events:
        runner.execute(folder, events=events, stop_requested=stop_requested)
    return dict(events_of(folder, "result")[-1]["data"])


def events_of(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]
