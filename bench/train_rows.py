"""The rows and the models of `make bench-train`: real text in lengths of three laws, and the same for every contestant.

The text is the language reference that comes with Python (`pydoc_data.topics`), cut where a row's length is reached.
"""

import json
import math
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import torch
from competitors.environments import HOME
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

SYSTEM = "You are a helpful assistant."
LAWS = ("chat", "bimodal", "long")
MAX_LENGTH = 1024
_TEMPLATE_TOKENS = 20
"""What the conversation's turn markers and the system message add to a row, about."""
_MIN_PART = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation of a question and an answer, and its tokens as SmolLM2's template makes them."""

    messages: list[dict[str, str]]
    num_tokens: int
    num_trained: int
    """Tokens of the answer and the token that ends it."""


def lengths(law: str, num: int, *, seed: int, scale: float = 1.0) -> list[int]:
    """Tokens of each row, template included.

    chat: log-normal, mean 175, sigma 0.7 (short conversations); bimodal: seven in ten around 60, the others around 400
    (FLAN: short classifications beside long answers); long: 500 give or take 4 % (one document's chunks).
    """
    draw = random.Random(f"{law}/{seed}")
    sigma = 0.7
    laws = {
        "chat": lambda: draw.lognormvariate(math.log(175) - sigma**2 / 2, sigma),
        "bimodal": lambda: draw.gauss(60, 12) if draw.random() < 0.7 else draw.gauss(400, 60),  # noqa: PLR2004 - the law
        "long": lambda: draw.gauss(500, 10),
    }
    least = _TEMPLATE_TOKENS + 2 * _MIN_PART
    return [min(MAX_LENGTH, max(least, round(laws[law]() * scale))) for _ in range(num)]


class RowMaker:
    """Cuts rows out of one long text; each row takes what follows the one before."""

    def __init__(self, model_dir: Path, *, seed: int) -> None:
        self._tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
        names = sorted(topics)
        random.Random(f"topics/{seed}").shuffle(names)
        self._ids = self._tokenizer.encode("\n\n".join(topics[name] for name in names), add_special_tokens=False).ids
        self._draw = random.Random(f"rows/{seed}")
        self._place = 0

    def rows(self, wanted: Sequence[int]) -> list[Row]:
        return [self._row(length) for length in wanted]

    def _row(self, length: int) -> Row:
        room = length - _TEMPLATE_TOKENS
        num_question = min(room - _MIN_PART, max(_MIN_PART, round(room * self._draw.uniform(0.25, 0.6))))
        question, answer = self._text(num_question), self._text(room - num_question)
        messages = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
        turns = [f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages]
        prompt = "".join(turns[:-1]) + "<|im_start|>assistant\n"
        num_tokens, num_prompt = (len(self._encode(text)) for text in ("".join(turns), prompt))
        return Row(messages, num_tokens=num_tokens, num_trained=num_tokens - num_prompt - 1)

    def _text(self, num_tokens: int) -> str:
        if self._place + num_tokens > len(self._ids):
            self._place = 0
        begin, self._place = self._place, self._place + num_tokens
        return self._tokenizer.decode(self._ids[begin : self._place]).strip() or "None"

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w") as stream:
        for number, row in enumerate(rows):
            stream.write(json.dumps({"number": number, "messages": row.messages}) + "\n")


def random_llama(folder: Path, tokenizer_of: Path) -> Path:
    """A Llama of 32.0M random weights in its 8 layers, and 25.2M in the embedding that its output shares.

    Width 512, 8 heads of 64, feed-forward 1,920, the vocabulary of SmolLM2 (49,152); kept in bfloat16 as the product
    keeps its bases. Says nothing about quality; a smaller model shows what is lost around the matrix products.
    """
    if (folder / "config.json").exists():
        return folder
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=49152,
            hidden_size=512,
            intermediate_size=1920,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=8192,
            rope_theta=100000.0,
            rms_norm_eps=1e-5,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
        )
    )
    building = folder.with_name(f".{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(building)
    for name in _tokenizer_files(tokenizer_of):
        shutil.copy(tokenizer_of / name, building / name)
    building.rename(folder)
    return folder


def float32_copy(model_dir: Path) -> Path:
    """The same weights in float32, beside the others."""
    folder = HOME / f"{model_dir.name}-float32"
    if not (folder / "config.json").exists():
        building = folder.with_name(f".{folder.name}")
        shutil.rmtree(building, ignore_errors=True)
        AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).save_pretrained(building)
        for name in _tokenizer_files(model_dir):
            shutil.copy(model_dir / name, building / name)
        building.rename(folder)
    return folder


def _tokenizer_files(folder: Path) -> Iterator[str]:
    return (path.name for path in folder.iterdir() if "token" in path.name or path.suffix == ".jinja")


def flops(model_dir: Path, rows: Sequence[Row], *, rank: int) -> float:
    """Operations that training these rows takes at least: 4 a frozen weight and token, 6 a LoRA weight.

    The head is needed where a token is trained only; causal attention takes 6 x length x width a token and layer.
    """
    config = AutoConfig.from_pretrained(model_dir)
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    queries, keys = (number * config.head_dim for number in (config.num_attention_heads, config.num_key_value_heads))
    linears = ((hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden))
    linears += ((hidden, inner), (hidden, inner), (inner, hidden))
    frozen = layers * sum(inputs * outputs for inputs, outputs in linears)
    learned = layers * rank * sum(inputs + outputs for inputs, outputs in linears)
    head = config.vocab_size * hidden
    return sum(
        row.num_tokens * (4 * frozen + 6 * learned + 6 * row.num_tokens * queries * layers) + row.num_trained * 4 * head
        for row in rows
    )


def describe(rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "num_rows": len(rows),
        "num_tokens": sum(row.num_tokens for row in rows),
        "num_trained": sum(row.num_trained for row in rows),
        "longest": max(row.num_tokens for row in rows),
    }
