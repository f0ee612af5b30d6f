"""Where two models are compared: the last places of some sequences.

Shapes: N tokens of a sequence, P places at its end, V vocabulary.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from core.datasets.types import RowKind
from core.exports.child import HELDOUT, MAX_HELDOUT_ROWS, MergeReport
from worker.inference.adapter_config import parse_adapter_config
from worker.inference.adapter_weights import AdapterWeights, read_adapter_weights
from worker.inference.runtime import BaseRuntime, DecodeRow, Quantization, load_runtime
from worker.training.adapter_output import CONFIG, WEIGHTS
from worker.training.data.chat_format import ChatFormat
from worker.training.data.encoding import encode_lines

NUM_PLACES: Final = 16
_MAX_TOKENS: Final = 256
_GENERAL: Final = (
    "What can you help me with?",
    "Write two sentences to a customer whose parcel is late.",
    "Explain in simple words what an invoice is.",
    "Name three things to check before a long journey.",
)


@dataclass(frozen=True, slots=True)
class Probed:
    prompts: Literal["heldout", "general"]
    sequences: list[list[int]]


def choose(folder: Path, chat_format: ChatFormat, row_kind: RowKind | None) -> Probed:
    """Held-out rows as they were measured; where there are none, questions that belong to nobody."""
    lines = (folder / HELDOUT).read_text(encoding="utf-8").splitlines() if row_kind is not None else []
    if row_kind is not None and lines:
        encoded = encode_lines(lines, kind=row_kind, chat_format=chat_format, max_length=_MAX_TOKENS)
        ends = encoded.lengths.cumsum().tolist()
        sequences = [
            encoded.token_ids[end - length : end].tolist()
            for end, length in zip(ends, encoded.lengths.tolist(), strict=True)
            if length > 1
        ]
        if sequences:
            return Probed("heldout", sequences[:MAX_HELDOUT_ROWS])
    asked = [chat_format.render_prompt([{"role": "user", "content": question}]) for question in _GENERAL]
    return Probed("general", asked)


def served(base_dir: Path, adapter_dir: Path, quantization: Quantization, sequences: list[list[int]]) -> list[Tensor]:
    """The scores of base and adapter, computed as any answer is: prompt, cache, token by token."""
    runtime = load_runtime(base_dir, quantization)
    adapter = read_adapter_weights(
        (adapter_dir / WEIGHTS).read_bytes(),
        parse_adapter_config((adapter_dir / CONFIG).read_bytes()),
        digest="packed",
        base=runtime,
    )
    return [_served_PV(runtime, adapter, sequence) for sequence in sequences]


def _served_PV(runtime: BaseRuntime, adapter: AdapterWeights, sequence: list[int]) -> Tensor:  # noqa: N802 - a shape
    num_places = min(NUM_PLACES, len(sequence))
    read, forced = sequence[: len(sequence) - num_places + 1], sequence[len(sequence) - num_places + 1 :]
    runtime.cache.clear(0)
    scores = [runtime.prefill(0, read, 0, adapter)]
    for place, token_id in enumerate(forced, len(read)):
        scores.append(runtime.decode([DecodeRow(token_id, place, adapter)])[0])
    return torch.stack([one.clone() for one in scores])


@torch.no_grad()
def plain(model_dir: Path, sequences: list[list[int]]) -> list[Tensor]:
    """The scores of a whole model, by plain transformers."""
    is_gpu = torch.cuda.is_available()
    model = AutoModelForCausalLM.from_pretrained(
        str(model_dir), dtype=torch.bfloat16 if is_gpu else torch.float32, local_files_only=True, use_safetensors=True
    )
    model.to("cuda" if is_gpu else "cpu").eval()
    found = []
    for sequence in sequences:
        ids_N = torch.tensor(sequence, device=model.device)  # noqa: N806 - a shape
        logits_NV = model(input_ids=ids_N[None]).logits[0]  # noqa: N806 - a shape
        found.append(logits_NV[-min(NUM_PLACES, len(sequence)) :].to("cpu", torch.float32))
    return found


def compared(
    probed: Probed, expected: list[Tensor], found: list[Tensor], *, quantization: Quantization, dtype: str
) -> MergeReport:
    """Raises `ValueError` for scores that are not finite."""
    one, other = torch.cat(expected), torch.cat(found)
    if not bool(torch.isfinite(other).all()) or not bool(torch.isfinite(one).all()):
        raise ValueError("scores are not finite")
    difference = (one - other).abs()
    divergence = torch.nn.functional.kl_div(
        other.log_softmax(-1), one.log_softmax(-1), log_target=True, reduction="none"
    ).sum(-1)
    return MergeReport(
        prompts=probed.prompts,
        num_prompts=len(expected),
        num_places=len(one),
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        same_choice=float((one.argmax(-1) == other.argmax(-1)).float().mean()),
        mean_divergence=max(0.0, float(divergence.mean())),
        serving_quantization=quantization,
        dtype=dtype,
    )


def dtype_of(model_dir: Path) -> str:
    config = json.loads((model_dir / "config.json").read_text())
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")
